import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';

import type { RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { digestOfText, newRepository, tagOf } from '../../shared/index/testing/index-names.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { dirtyFolder, storeIdKey } from '../../shared/storage/object-keys.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { GatedRecordStore } from '../support/gated-record-store.ts';
import {
  createIndexLab,
  type IndexLab,
  type LabOptions,
  PATIENT,
  TRUST_SECONDS,
} from '../support/index-lab.ts';
import { startRedis } from '../support/start-redis.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const unending = new AbortController().signal;
const tag = tagOf('latest');
const OLD = digestOfText('old');
const NEW = digestOfText('new');

describeWithTools(['redis-server'], 'the index and a Redis that is out of order', () => {
  let lab: IndexLab;
  const cleanUps: (() => Promise<void>)[] = [];
  const newLab = async (options: LabOptions = {}): Promise<IndexLab> => {
    lab = await createIndexLab(options);
    cleanUps.push(() => lab.close());
    return lab;
  };
  const proxyTo = async (port: number): Promise<TcpProxy> => {
    const proxy = await startTcpProxy(port);
    cleanUps.push(() => proxy.close());
    return proxy;
  };
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  const journal = async (): Promise<string[]> =>
    (await lab.records.list(dirtyFolder, {}, unending)).map(({ name }) => name);
  const reads = (index: RedisIndex, repository: RepositoryName): Promise<Digest | undefined> =>
    index.tags.get(repository, tag, unending);
  /**
   * Resolves when the new tags are read; whoever begins to read them a trust period after they were written must.
   * No measurement: however slow the machine is, an older answer may be one to an older question alone.
   */
  const untilNew = async (
    index: RedisIndex,
    repositories: readonly RepositoryName[],
    writtenMs: number,
  ): Promise<void> => {
    for (;;) {
      const askedMs = performance.now();
      const found = await Promise.all(repositories.map((name) => reads(index, name)));
      if (found.every((digest) => digest === NEW)) return;
      expect(askedMs - writtenMs).toBeLessThan(TRUST_SECONDS * 1000);
      await delay(5);
    }
  };
  /** Resolves when the answer for a new tag of the repository comes from Redis. */
  const isCaching = (index: RedisIndex, gated: GatedRecordStore): Promise<unknown> =>
    waitFor(
      async () => {
        await lab.warm();
        const repository = newRepository();
        await index.tags.set(repository, tag, OLD, unending);
        gated.operations.length = 0;
        await reads(index, repository);
        return !gated.operations.some((line) => line.includes(repository));
      },
      { what: 'answers from Redis' },
    );

  describe('a writer that is cut off', () => {
    test.each(['block', 'cut'] as const)(
      '(%s) is read by the others within the trust period, and at once by itself',
      async (how) => {
        await newLab();
        const proxy = await proxyTo(lab.redis.port);
        const [reader, writer] = [
          await lab.replica(),
          await lab.replica({ url: `redis://127.0.0.1:${proxy.port}`, isAwaited: true }),
        ];
        const repository = newRepository();
        await writer.tags.set(repository, tag, OLD, unending);
        expect(await reads(reader, repository)).toBe(OLD);
        proxy[how]();
        await writer.tags.set(repository, tag, NEW, unending);
        const writtenMs = performance.now();
        expect(await reads(writer, repository)).toBe(NEW);
        await untilNew(reader, [repository], writtenMs);
        proxy.open();
        await waitFor(async () => (await journal()).length === 0, {
          what: 'the journal to be settled',
        });
        for (const index of [reader, writer]) expect(await reads(index, repository)).toBe(NEW);
        await lab.redis.flush();
        for (const index of [reader, writer]) expect(await reads(index, repository)).toBe(NEW);
      },
    );

    test('leaves its journal entry before it writes the store', async () => {
      await newLab();
      const gated = new GatedRecordStore(lab.records);
      const writer = await lab.replica({ url: 'redis://127.0.0.1:1', records: gated });
      const gate = gated.gate('before', 'put', '/_manifests/');
      const writing = writer.tags.set(newRepository(), tag, NEW, unending);
      await gate.reached;
      expect(await journal()).toHaveLength(1);
      gate.release();
      await writing;
    });

    test('does not write the store when it can leave no journal entry', async () => {
      await newLab();
      const gated = new GatedRecordStore(lab.records);
      const writer = await lab.replica({ url: 'redis://127.0.0.1:1', records: gated });
      gated.fail('put', dirtyFolder);
      const repository = newRepository();
      await expect(writer.tags.set(repository, tag, NEW, unending)).rejects.toThrow('dirty');
      expect(await lab.truth.tags.get(repository, tag, unending)).toBeUndefined();
    });

    test('names its keys, then takes one entry for all that it writes', async () => {
      await newLab();
      const proxy = await proxyTo(lab.redis.port);
      const [reader, writer] = [
        await lab.replica(),
        await lab.replica({ url: `redis://127.0.0.1:${proxy.port}`, isAwaited: true }),
      ];
      const repositories = Array.from({ length: 50 }, newRepository);
      for (const repository of repositories) {
        await writer.tags.set(repository, tag, OLD, unending);
        expect(await reads(reader, repository)).toBe(OLD);
      }
      proxy.cut();
      for (const repository of repositories) await writer.tags.set(repository, tag, NEW, unending);
      const writtenMs = performance.now();
      expect((await journal()).length).toBeLessThan(40);
      await untilNew(reader, repositories, writtenMs);
      proxy.open();
      await waitFor(async () => (await journal()).length === 0, {
        what: 'the journal to be settled',
      });
      for (const repository of repositories) expect(await reads(reader, repository)).toBe(NEW);
    });

    test('and dies has its journal entry settled by the others', async () => {
      await newLab({ timing: { journalReuseMs: 100, writeDeadlineMs: 400 } });
      const [reader, writer] = [
        await lab.replica(),
        await lab.replica({ url: 'redis://127.0.0.1:1' }),
      ];
      const repository = newRepository();
      await reader.tags.set(repository, tag, OLD, unending);
      expect(await reads(reader, repository)).toBe(OLD);
      await writer.tags.set(repository, tag, NEW, unending);
      await writer.close();
      await waitFor(async () => (await journal()).length === 0, {
        what: 'the journal to be settled',
      });
      expect(await reads(reader, repository)).toBe(NEW);
    });

    test('and a journal entry that nobody can read makes everything come from the store', async () => {
      await newLab({ timing: { journalReuseMs: 100, writeDeadlineMs: 400 } });
      const reader = await lab.replica();
      const repository = newRepository();
      await reader.tags.set(repository, tag, OLD, unending);
      await lab.truth.tags.set(repository, tag, NEW, unending);
      const key = `${dirtyFolder}/of-a-later-version.json`;
      await lab.records.put(key, Buffer.from('{"schemaVersion":2}'), unending);
      await waitFor(async () => (await reads(reader, repository)) === NEW, { what: 'the store' });
      await waitFor(async () => (await journal()).length === 0, {
        what: 'the journal to be settled',
      });
      expect(await reads(reader, repository)).toBe(NEW);
    });
  });

  describe('a Redis that hangs', () => {
    test('an install that it executes late does not undo what was written meanwhile', async () => {
      await newLab();
      const gated = new GatedRecordStore(lab.records);
      const [late, other] = [await lab.replica({ records: gated }), await lab.replica()];
      const repository = newRepository();
      await late.tags.set(repository, tag, OLD, unending);
      const gate = gated.gate('after', 'put', '/current/');
      const writing = late.tags.set(repository, tag, digestOfText('middle'), unending);
      await gate.reached;
      lab.redis.pause();
      gate.release();
      await writing;
      await other.tags.set(repository, tag, NEW, unending);
      const writtenMs = performance.now();
      lab.redis.resume();
      expect(await reads(other, repository)).toBe(NEW);
      await untilNew(late, [repository], writtenMs);
      await waitFor(async () => (await journal()).length === 0, {
        what: 'the journal to be settled',
      });
      for (const index of [late, other]) expect(await reads(index, repository)).toBe(NEW);
      await lab.redis.flush();
      for (const index of [late, other]) expect(await reads(index, repository)).toBe(NEW);
    });

    test('costs few requests a deadline and the others nothing', async () => {
      await newLab();
      const index = await lab.replica();
      const repository = newRepository();
      await index.tags.set(repository, tag, OLD, unending);
      lab.redis.pause();
      const before = lab.operations.length;
      await waitFor(
        async () => {
          expect(await reads(index, repository)).toBe(OLD);
          return !index.isReachable();
        },
        { what: 'the connection to be given up', everyMs: 0 },
      );
      expect(lab.operations.length - before).toBeLessThan(10);
      lab.redis.resume();
      await lab.reachable(index);
    });
  });

  test('a start without Redis serves from the store, and uses Redis when it comes', async () => {
    await newLab();
    lab.redis.pause();
    const gated = new GatedRecordStore(lab.records);
    const index = await lab.replica({ records: gated, isAwaited: false });
    expect(index.isReachable()).toBe(false);
    const repository = newRepository();
    await index.tags.set(repository, tag, NEW, unending);
    expect(await reads(index, repository)).toBe(NEW);
    await lab.redis.restart();
    await lab.reachable(index);
    expect(await reads(index, repository)).toBe(NEW);
    await isCaching(index, gated);
  });

  test('answers that come back with an old dump are not believed', async () => {
    await newLab({ timing: PATIENT });
    const [a, b] = [await lab.replica(), await lab.replica()];
    const repository = newRepository();
    await a.tags.set(repository, tag, OLD, unending);
    expect(await reads(b, repository)).toBe(OLD);
    await lab.client().save();
    await a.tags.set(repository, tag, NEW, unending);
    await lab.redis.restart();
    await Promise.all([lab.reachable(a), lab.reachable(b)]);
    const keys = await lab.client().keys('*');
    expect(keys.some((key) => key.includes(repository))).toBe(true);
    for (const index of [b, a]) expect(await reads(index, repository)).toBe(NEW);
  });

  test('a failover that loses the last writes of Redis makes the index cold', async () => {
    await newLab();
    const replication = await proxyTo(lab.redis.port);
    const second = await startRedis({
      own: true,
      args: ['--replicaof', '127.0.0.1', String(replication.port)],
    });
    cleanUps.push(() => second.stop());
    const way = await proxyTo(lab.redis.port);
    const url = `redis://127.0.0.1:${way.port}`;
    const [a, b] = [
      await lab.replica({ url, isAwaited: true }),
      await lab.replica({ url, isAwaited: true }),
    ];
    const repository = newRepository();
    await a.tags.set(repository, tag, OLD, unending);
    expect(await reads(b, repository)).toBe(OLD);
    expect(await lab.client().wait(1, 60_000)).toBe(1);
    replication.block();
    await a.tags.set(repository, tag, NEW, unending);
    way.retarget(second.port);
    // A replica that is not promoted yet refuses writes: it is not used.
    await waitFor(() => !a.isReachable() && !b.isReachable(), { what: 'both to let go' });
    for (const index of [a, b]) expect(await reads(index, repository)).toBe(NEW);
    await promote(second.url);
    await Promise.all([lab.reachable(a), lab.reachable(b)]);
    for (const index of [b, a]) expect(await reads(index, repository)).toBe(NEW);
    await a.tags.delete(repository, tag, unending);
    expect(await reads(b, repository)).toBeUndefined();
  });

  test('a Redis that is full refuses marks: writes go by the journal and the answers are right', async () => {
    await newLab();
    const [a, b] = [await lab.replica(), await lab.replica()];
    const repository = newRepository();
    await a.tags.set(repository, tag, OLD, unending);
    expect(await reads(b, repository)).toBe(OLD);
    await lab.client().config('SET', 'maxmemory', '1');
    await a.tags.set(repository, tag, NEW, unending);
    const writtenMs = performance.now();
    expect(await reads(a, repository)).toBe(NEW);
    await untilNew(b, [repository], writtenMs);
    await waitFor(async () => (await journal()).length === 0, {
      what: 'the journal to be settled',
    });
    expect(await reads(b, repository)).toBe(NEW);
  });

  test('warns once of a Redis that may evict, and serves right answers from it', async () => {
    await newLab({ timing: PATIENT, redisArgs: ['--maxmemory-policy', 'allkeys-lru'] });
    const index = await lab.replica();
    const warnings = lab.log.filter(({ message }) => message.includes('noeviction'));
    expect(warnings).toEqual([
      {
        level: 'warn',
        fields: { evictionPolicy: 'allkeys-lru' },
        message: expect.stringContaining('noeviction'),
      },
    ]);
    await lab.client().config('SET', 'maxmemory', '1500kb');
    for (let i = 0; i < 50; i += 1) {
      const repository = newRepository();
      await index.tags.set(repository, tag, OLD, unending);
      await index.tags.set(repository, tag, NEW, unending);
      expect(await reads(index, repository)).toBe(NEW);
    }
  });

  test('a wrong password is an unreachable Redis, told once and without the password', async () => {
    await newLab();
    const index = await lab.replica({ url: lab.redis.url.replace('//', '//user:s3cr3t@') });
    const repository = newRepository();
    await index.tags.set(repository, tag, NEW, unending);
    expect(await reads(index, repository)).toBe(NEW);
    const attempts = (): number =>
      lab.log.filter(({ message }) => message.startsWith('Redis is not reachable')).length;
    await waitFor(() => attempts() > 0, { what: 'the failure to be told' });
    expect(attempts()).toBe(1);
    expect(JSON.stringify(lab.log)).not.toContain('s3cr3t');
  });

  test('who cannot list the journal does not believe Redis', async () => {
    await newLab({ timing: PATIENT });
    const gated = new GatedRecordStore(lab.records);
    const [blind, writer] = [
      await lab.replica({ records: gated, timing: { trustMs: 500 } }),
      await lab.replica(),
    ];
    const repository = newRepository();
    await writer.tags.set(repository, tag, OLD, unending);
    gated.fail('list', dirtyFolder);
    await waitFor(
      async () => {
        gated.operations.length = 0;
        expect(await reads(blind, repository)).toBe(OLD);
        return gated.operations.some((line) => line.includes(repository));
      },
      { what: 'answers from the store' },
    );
    expect(lab.log.filter(({ message }) => message.includes('journal'))).toHaveLength(1);
    await blind.tags.set(repository, tag, NEW, unending);
    expect(await journal()).toHaveLength(1);
  });

  describe('a lease', () => {
    test('is kept while Redis is away, and taken up again when it is back', async () => {
      await newLab({ timing: PATIENT });
      const [holder, other] = [await lab.replica(), await lab.replica()];
      const lease = await holder.leases.acquire('work', 0, unending);
      await lab.redis.restart();
      await Promise.all([lab.reachable(holder), lab.reachable(other)]);
      const client = lab.client();
      await waitFor(async () => (await client.keys('*:lease:work')).length > 0, {
        what: 'the lease in the new Redis',
      });
      expect(lease?.lost.aborted).toBe(false);
      expect(await other.leases.acquire('work', 0, unending)).toBeUndefined();
      await lease?.release();
      const next = await other.leases.acquire('work', 5_000, unending);
      expect(next).toBeDefined();
      await next?.release();
    });

    test('that another took because the holder hung is lost for the holder, and stays the other one’s', async () => {
      await newLab({ timing: PATIENT });
      const [holder, other] = [await lab.replica(), await lab.replica()];
      const lease = await holder.leases.acquire('work', 0, unending);
      const client = lab.client();
      const [key = ''] = await client.keys('*:lease:work');
      const taken = await waitFor(
        async () => {
          // What Redis does when the holder did not renew in time; it may just be renewing it again.
          await client.del(key);
          return await other.leases.acquire('work', 0, unending);
        },
        { what: 'the lease of the other one' },
      );
      await waitFor(() => lease?.lost.aborted === true, { what: 'the holder to learn of it' });
      await lease?.release();
      expect(await holder.leases.acquire('work', 0, unending)).toBeUndefined();
      expect(taken.lost.aborted).toBe(false);
      await taken.release();
    });

    test('is one of the process alone while Redis is not reachable', async () => {
      await newLab();
      const url = 'redis://127.0.0.1:1';
      const [a, b] = [await lab.replica({ url }), await lab.replica({ url })];
      const leases = [
        await a.leases.acquire('work', 0, unending),
        await b.leases.acquire('work', 0, unending),
      ];
      expect(leases.every((lease) => lease !== undefined)).toBe(true);
      expect(await a.leases.acquire('work', 0, unending)).toBeUndefined();
      for (const lease of leases) await lease?.release();
    });
  });

  test('a store id that cannot be read keeps Redis out', async () => {
    await newLab();
    await lab.records.put(storeIdKey, Buffer.from('{}'), unending);
    const index = await lab.replica({ isAwaited: false });
    const repository = newRepository();
    await index.tags.set(repository, tag, NEW, unending);
    expect(await reads(index, repository)).toBe(NEW);
    expect(await lab.client().keys('*')).toEqual([]);
  });
});

async function promote(url: string): Promise<void> {
  const client = new Redis(url, { maxRetriesPerRequest: 1 });
  await client.replicaof('NO', 'ONE');
  client.disconnect();
}
