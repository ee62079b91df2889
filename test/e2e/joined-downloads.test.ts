import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { auditTestStore } from '../integration/audit-test-store.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts';
import { randomBlob } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import {
  startTwinport,
  type TwinportOptions,
  type TwinportProcess,
} from '../support/registry-process.ts';
import { ResidentMemory } from '../support/resident-memory.ts';
import { isFullRun, sizeOf } from '../support/sizes.ts';
import { startProcess } from '../support/start-process.ts';
import { type RedisServer, startRedis } from '../support/start-redis.ts';
import { startMinio } from '../support/start-s3.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;
const REPLICAS = 3;
const READ_BLOBS = join(import.meta.dirname, '..', 'support', 'read-blobs-child.ts');
/** What a replica may take for all the clients of one cold layer, beyond what it has anyway. */
const ALLOWED_GROWTH_BYTES = 64 * MIB;

/** How the layer travels does not depend on the store, so that one of them does in CI. */
const STORES = isFullRun() ? (['files', 'a bucket'] as const) : (['files'] as const);
const TOOLS = isFullRun() ? (['redis-server', 'minio'] as const) : (['redis-server'] as const);

describeWithTools(TOOLS, 'a cold layer at three replicas', () => {
  describe.each(STORES)('over %s', pullColdLayers);
});

function pullColdLayers(store: (typeof STORES)[number]): void {
  const servers = new OwnedServers();
  let redis: RedisServer;
  let upstream: FakeUpstream;
  let storage: TwinportOptions['storage'];
  let replicas: TwinportProcess[];
  let layer: { readonly digest: string; readonly bytes: Buffer };

  beforeAll(async () => {
    redis = await servers.own(startRedis({ own: true }));
    upstream = await servers.own(startFakeUpstream());
    storage =
      store === 'files' ? { dataDir: makeTempFolder('joined') } : await servers.own(startMinio());
    replicas = await Promise.all(Array.from({ length: REPLICAS }, () => startReplica()));
  });
  beforeEach(() => upstream.forget());
  afterEach(() => {
    redis.resume();
    upstream.behaviour.blobPauses = [];
  });
  afterAll(() => servers.stopAll());

  const startReplica = (): Promise<TwinportProcess> =>
    servers.own(
      startTwinport({
        role: 'mirror',
        storage,
        redisUrl: redis.url,
        upstreamUrl: upstream.url,
        env: { INTERNAL_URL: 'http://127.0.0.1:0', INTERNAL_PORT: '0' },
      }),
    );

  /** A layer that no replica has yet. */
  function addLayer(bytes: number): void {
    layer = randomBlob(bytes);
    upstream.addBlob('library/cold', layer.digest, layer.bytes);
  }

  const path = (): string => `/v2/cold/blobs/${layer.digest}`;
  const ranges = (): (string | undefined)[] =>
    upstream.seen.filter(({ method }) => method === 'GET').map(({ range }) => range);
  const isStored = async (): Promise<void> => {
    await waitFor(async () => (await auditTestStore(storage)).length === 0 && (await isHeld()), {
      what: 'the layer to be stored and linked',
      timeoutMs: 60_000,
    });
  };
  /** Held: the upstream need not be asked. */
  const isHeld = async (): Promise<boolean> => {
    const before = upstream.seen.length;
    const living = replicas.at(-1)!;
    const head = await fetch(`${living.url}${path()}`, { method: 'HEAD' });
    return head.status === 200 && upstream.seen.length === before;
  };

  /** Holds the upstream's body at half of the layer. */
  function pauseHalfway(): () => void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.blobPauses = [{ atByte: layer.bytes.length / 2, until: promise }];
    return () => {
      upstream.behaviour.blobPauses = [];
      resolve(undefined);
    };
  }

  test('is downloaded once for all clients, in little memory', async () => {
    // At rest is a process that has done such work before.
    addLayer(8 * MIB);
    await Promise.all(
      [...replicas, ...replicas].map((replica) => readWhole(replica, path(), layer.bytes)),
    );
    const before = await joinedFills(replicas);
    addLayer(sizeOf('coldLayerBytes'));
    upstream.forget();
    const memory = replicas.map(({ pid }) => new ResidentMemory(pid));
    const goOn = pauseHalfway();
    const startedMs = performance.now();
    const first = await Promise.all(
      replicas.map((replica) => beginRead(replica, path(), layer.bytes)),
    );
    const urls = Array.from(
      { length: sizeOf('fleetClients') - REPLICAS },
      (_, client) => `${replicas[client % REPLICAS]!.url}${path()}`,
    );
    const file = join(makeTempFolder('expected'), 'layer');
    writeFileSync(file, layer.bytes);
    const others = await servers.own(
      startProcess({
        name: 'readers',
        command: process.execPath,
        args: [READ_BLOBS, file, ...urls],
        isReady: (logs) => logs.includes('begun'),
      }),
    );
    goOn();
    await Promise.all(first.map(({ whole }) => whole));
    const { code } = await others.ended;
    expect([code, code === 0 ? '' : others.logs()]).toEqual([0, '']);
    const seconds = (performance.now() - startedMs) / 1000;
    const growth = memory.map((watch) => watch.stop() - watch.atRest);
    expect(ranges()).toEqual([undefined]);
    console.log(
      `${sizeOf('fleetClients')} clients pulled ${layer.bytes.length / MIB} MiB from ${REPLICAS} replicas in ${seconds.toFixed(1)} s; ` +
        `memory grew by at most ${growth.map((bytes) => Math.round(bytes / MIB)).join(', ')} MiB`,
    );
    expect(Math.max(...growth)).toBeLessThan(ALLOWED_GROWTH_BYTES);
    await isStored();
    const after = await joinedFills(replicas);
    expect(after.led - before.led).toBe(1);
    expect(after.followed - before.followed).toBe(REPLICAS - 1);
    expect(after.none).toBe(0);
  }, 1_800_000);

  test('goes on when the replica that downloads it is killed: others pause, its own clients resume elsewhere', async () => {
    addLayer(sizeOf('coldLayerBytes'));
    const goOn = pauseHalfway();
    const [leader, ...followers] = replicas as [TwinportProcess, ...TwinportProcess[]];
    const own = await beginRead(leader, path(), layer.bytes);
    const others = await Promise.all(
      followers.map((replica) => beginRead(replica, path(), layer.bytes)),
    );
    leader.kill('SIGKILL');
    await leader.ended;
    await expect(own.whole).rejects.toThrow();
    const resumed = beginRead(followers[0]!, path(), layer.bytes, own.received());
    goOn();
    await (
      await resumed
    ).whole;
    for (const { whole } of others) await whole;
    expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=\d{6,}-$/)]);
    await isStored();
    replicas = [await startReplica(), ...followers];
  });

  test('goes on when the replica that downloads it hangs, and is right when that one wakes up', async () => {
    addLayer(sizeOf('coldLayerBytes'));
    const goOn = pauseHalfway();
    const [leader, ...followers] = replicas as [TwinportProcess, ...TwinportProcess[]];
    const own = await beginRead(leader, path(), layer.bytes);
    const others = await Promise.all(
      followers.map((replica) => beginRead(replica, path(), layer.bytes)),
    );
    leader.kill('SIGSTOP');
    goOn();
    for (const { whole } of others) await whole;
    await isStored();
    leader.kill('SIGCONT');
    await own.whole;
    expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=\d{6,}-$/)]);
    await isStored();
  });

  test.each(['is gone', 'hangs'])(
    'is downloaded at most once by each replica while Redis %s',
    async (fault) => {
      addLayer(sizeOf('coldLayerBytes'));
      if (fault === 'hangs') redis.pause();
      else await redis.stop();
      try {
        const clients = Array.from({ length: 4 * REPLICAS }, (_, client) =>
          readWhole(replicas[client % REPLICAS]!, path(), layer.bytes),
        );
        await Promise.all(clients);
      } finally {
        if (fault === 'is gone') await redis.restart();
      }
      expect(ranges().length).toBeLessThanOrEqual(REPLICAS);
      expect((await joinedFills(replicas)).none).toBeGreaterThan(0);
      await isStored();
    },
  );

  test('is downloaded once by the workers of one program without Redis', async () => {
    const program = await servers.own(
      startTwinport({
        role: 'mirror',
        storage,
        upstreamUrl: upstream.url,
        env: { WORKERS: '2' },
      }),
    );
    addLayer(sizeOf('coldLayerBytes'));
    const goOn = pauseHalfway();
    // The system spreads connections as it likes: with so many both workers have some.
    const pulls = await Promise.all(
      Array.from({ length: 16 }, () => beginRead(program, path(), layer.bytes)),
    );
    goOn();
    await Promise.all(pulls.map(({ whole }) => whole));
    expect(ranges()).toEqual([undefined]);
    expect(await joinedFills([program])).toEqual({ led: 1, followed: 1, none: 0 });
    await program.stop();
  });
}

interface BegunRead {
  /** Resolves when all bytes have come, and were right. */
  readonly whole: Promise<void>;
  received(): number;
}

async function readWhole(replica: TwinportProcess, path: string, expected: Buffer): Promise<void> {
  await (
    await beginRead(replica, path, expected)
  ).whole;
}

/** Resolves with the first bytes. */
async function beginRead(
  { url }: TwinportProcess,
  path: string,
  expected: Buffer,
  from = 0,
): Promise<BegunRead> {
  const headers = from > 0 ? { range: `bytes=${from}-` } : {};
  const outgoing = get(`${url}${path}`, { agent: false, headers });
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(from > 0 ? 206 : 200);
  let position = from;
  const begun = Promise.withResolvers<undefined>();
  const read = async (): Promise<void> => {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (!chunk.equals(expected.subarray(position, position + chunk.length))) {
        throw new Error(`wrong bytes at ${position}`);
      }
      position += chunk.length;
      begun.resolve(undefined);
    }
    if (position !== expected.length) throw new Error(`ended at ${position}`);
  };
  const whole = read();
  await Promise.race([begun.promise, whole]);
  whole.catch(() => undefined);
  return { whole, received: () => position };
}

/** How the fills of all replicas were joined. */
async function joinedFills(
  replicas: readonly TwinportProcess[],
): Promise<Record<'led' | 'followed' | 'none', number>> {
  const sums = { led: 0, followed: 0, none: 0 };
  for (const { metricsUrl } of replicas) {
    const metrics = await (await fetch(`${metricsUrl}/metrics`)).text();
    const found = metrics.matchAll(
      /^registry_mirror_fills_total\{joined="(led|followed|none)",.*\} (\d+)$/gm,
    );
    for (const [, joined, count] of found) sums[joined as keyof typeof sums] += Number(count);
  }
  return sums;
}
