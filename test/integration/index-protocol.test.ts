import { afterEach, describe, expect, test } from '@jest/globals';

import type { RegistryIndex } from '../../shared/index/ports.ts';
import { digestOfText, newRepository, tagOf } from '../../shared/index/testing/index-names.ts';
import { referrersOf } from '../../shared/index/testing/referrers-of.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { tagCurrentKey } from '../../shared/storage/object-keys.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { GatedRecordStore } from '../support/gated-record-store.ts';
import { createIndexLab, type IndexLab, type LabOptions, PATIENT } from '../support/index-lab.ts';
import { waitFor } from '../support/wait-for.ts';

const unending = new AbortController().signal;
const tag = tagOf('latest');
const OLD = digestOfText('old');
const NEW = digestOfText('new');
const NEWER = digestOfText('newer');

describeWithTools(['redis-server'], 'the protocol between store and Redis', () => {
  let lab: IndexLab;
  const newLabWith = async (options: LabOptions): Promise<IndexLab> => {
    lab = await createIndexLab(options);
    return lab;
  };
  const newLab = (): Promise<IndexLab> => newLabWith({});
  afterEach(() => lab.close());

  /** Every replica answers what the store answers, now and after Redis forgot everything. */
  const expectTruth = async (
    replicas: readonly RegistryIndex[],
    repository: RepositoryName,
  ): Promise<void> => {
    for (const moment of ['with what Redis has', 'after FLUSHALL']) {
      const truth = await answers(lab.truth, repository);
      for (const replica of replicas) {
        expect({ moment, ...(await answers(replica, repository)) }).toEqual({ moment, ...truth });
        expect({ moment, ...(await answers(replica, repository)) }).toEqual({ moment, ...truth });
      }
      await lab.redis.flush();
    }
  };

  const answers = async (index: RegistryIndex, repository: RepositoryName): Promise<object> => ({
    tag: await index.tags.get(repository, tag, unending),
    tags: await index.tags.list(repository, unending),
    isMember: await index.members.has(repository, 'manifest', OLD, unending),
    referrers: await referrersOf(index, repository, OLD),
  });

  test('what one replica read or wrote the other reads without the store, absence too', async () => {
    await newLab();
    const second = new GatedRecordStore(lab.records);
    const a = await lab.replica();
    const b = await lab.replica({ records: second });
    const readsTheStore = async (): Promise<boolean> => {
      await lab.warm();
      const repository = newRepository();
      await a.tags.set(repository, tag, NEW, unending);
      await a.members.add(repository, 'blob', NEW, unending);
      await a.tags.list(repository, unending);
      await a.tags.get(repository, tagOf('absent'), unending);
      await a.tags.set(repository, tagOf('more'), NEW, unending);
      const answered = [
        await b.tags.get(repository, tag, unending),
        await b.members.has(repository, 'blob', NEW, unending),
        await b.tags.list(repository, unending),
        await b.tags.get(repository, tagOf('absent'), unending),
      ];
      expect(answered).toEqual([NEW, true, [tag, 'more'], undefined]);
      return second.operations.some((line) => line.includes(repository));
    };
    // On a busy machine an answer of Redis may come too late: then the store is read.
    await waitFor(async () => !(await readsTheStore()), { what: 'answers from Redis alone' });
  });

  test('two stores that share a Redis do not see each other', async () => {
    await newLab();
    const other = await createIndexLab();
    try {
      const here = await lab.replica();
      const there = await other.replica({ url: lab.redis.url, isAwaited: true });
      const repository = newRepository();
      await here.tags.set(repository, tag, NEW, unending);
      expect(await there.tags.get(repository, tag, unending)).toBeUndefined();
      expect(await here.tags.get(repository, tag, unending)).toBe(NEW);
    } finally {
      await other.close();
    }
  });

  describe('races', () => {
    const newLab = (): Promise<IndexLab> => newLabWith({ timing: PATIENT });
    test('a reader that was slow in the store does not write back what it read', async () => {
      await newLab();
      const gated = new GatedRecordStore(lab.records);
      const [slow, writer] = [await lab.replica({ records: gated }), await lab.replica()];
      for (const change of ['set', 'delete'] as const) {
        const repository = newRepository();
        await lab.truth.tags.set(repository, tag, OLD, unending);
        const gate = gated.gate('after', 'get', tagCurrentKey(repository, tag));
        const reading = slow.tags.get(repository, tag, unending);
        await gate.reached;
        if (change === 'set') await writer.tags.set(repository, tag, NEW, unending);
        else await writer.tags.delete(repository, tag, unending);
        gate.release();
        expect(await reading).toBe(OLD);
        await expectTruth([slow, writer], repository);
      }
    });

    test('a reader that read before a flush does not write back what it read', async () => {
      await newLab();
      const gated = new GatedRecordStore(lab.records);
      const [slow, writer] = [await lab.replica({ records: gated }), await lab.replica()];
      const repository = newRepository();
      await lab.truth.tags.set(repository, tag, OLD, unending);
      const gate = gated.gate('after', 'get', tagCurrentKey(repository, tag));
      const reading = slow.tags.get(repository, tag, unending);
      await gate.reached;
      await writer.tags.set(repository, tag, NEW, unending);
      await lab.redis.flush();
      expect(await writer.tags.get(repository, tagOf('x'), unending)).toBeUndefined();
      gate.release();
      expect(await reading).toBe(OLD);
      await expectTruth([slow, writer], repository);
    });

    test.each([
      ['before the first reached the store', 'before'],
      ['after the first reached the store', 'after'],
    ] as const)(
      'of two writers the one that reached the store last counts, %s',
      async (_, side) => {
        await newLab();
        const gated = new GatedRecordStore(lab.records);
        const [first, second] = [await lab.replica({ records: gated }), await lab.replica()];
        const repository = newRepository();
        await second.tags.set(repository, tag, OLD, unending);
        await first.tags.list(repository, unending);
        const gate = gated.gate(side, 'put', tagCurrentKey(repository, tag));
        const writing = first.tags.set(repository, tag, NEW, unending);
        await gate.reached;
        await second.tags.set(repository, tag, NEWER, unending);
        await second.tags.set(repository, tagOf('other'), NEWER, unending);
        expect(await second.tags.get(repository, tag, unending)).toBe(NEWER);
        gate.release();
        await writing;
        const last = side === 'before' ? NEW : NEWER;
        expect(await second.tags.get(repository, tag, unending)).toBe(last);
        await expectTruth([first, second], repository);
      },
    );

    test('of two writers the one that reached the store last counts, also when the other one ends last', async () => {
      await newLab();
      const [slow, quick] = [lab.records, lab.records].map((way) => new GatedRecordStore(way));
      const [first, second] = [
        await lab.replica({ records: slow! }),
        await lab.replica({ records: quick! }),
      ];
      const repository = newRepository();
      await second.tags.set(repository, tag, OLD, unending);
      const key = tagCurrentKey(repository, tag);
      const [notYet, alreadyThere] = [
        slow!.gate('before', 'put', key),
        quick!.gate('after', 'put', key),
      ];
      const one = first.tags.set(repository, tag, NEW, unending);
      await notYet.reached;
      const other = second.tags.set(repository, tag, NEWER, unending);
      await alreadyThere.reached;
      notYet.release();
      await one;
      alreadyThere.release();
      await other;
      expect(await first.tags.get(repository, tag, unending)).toBe(NEW);
      await expectTruth([first, second], repository);
    });

    test('while a write is under way readers read the store and keep nothing', async () => {
      await newLab();
      const gated = new GatedRecordStore(lab.records);
      const [writer, reader] = [await lab.replica({ records: gated }), await lab.replica()];
      const repository = newRepository();
      await writer.tags.set(repository, tag, OLD, unending);
      const before = gated.gate('before', 'put', tagCurrentKey(repository, tag));
      const after = gated.gate('after', 'put', tagCurrentKey(repository, tag));
      const writing = writer.tags.set(repository, tag, NEW, unending);
      await before.reached;
      expect(await reader.tags.get(repository, tag, unending)).toBe(OLD);
      before.release();
      await after.reached;
      expect(await reader.tags.get(repository, tag, unending)).toBe(NEW);
      after.release();
      await writing;
      await expectTruth([writer, reader], repository);
    });

    test('lists of tags and referrers that are changed from two sides at once are complete', async () => {
      await newLab();
      const replicas = [await lab.replica(), await lab.replica()];
      const repository = newRepository();
      await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const index = replicas[i % 2]!;
          const digest = digestOfText(`${i}`);
          await index.tags.set(repository, tagOf(`t${i}`), digest, unending);
          if (i % 3 === 0) await index.tags.delete(repository, tagOf(`t${i}`), unending);
          await index.referrers.add(
            repository,
            OLD,
            { mediaType: 'a/b', digest, size: i },
            unending,
          );
          await index.tags.list(repository, unending);
        }),
      );
      await expectTruth(replicas, repository);
    });
  });

  describe('a fault of Redis at any step of a write', () => {
    const faults: Record<string, () => Promise<void>> = {
      flush: () => lab.redis.flush(),
      'a flush long ago': async () => {
        await lab.redis.flush();
        await lab.replica();
      },
      restart: () => lab.redis.restart(),
      hang: () => {
        lab.redis.pause();
        return Promise.resolve();
      },
    };
    const steps = [
      ['marking and the first record', 'set', 'before', '/index/'],
      ['history and current link', 'set', 'before', '/current/'],
      ['store write and install', 'set', 'after', '/current/'],
      ['marking and the first record', 'delete', 'before', '/current/'],
      ['current link and the rest', 'delete', 'after', '/current/'],
    ] as const;
    const cases = Object.keys(faults).flatMap((fault) =>
      steps.map((step) => [fault, ...step] as const),
    );

    test.each(cases)(
      '%s between %s of a %s: all answers are those of the store',
      async (fault, _, change, side, part) => {
        const commandMs = fault === 'hang' ? 1_000 : PATIENT.commandMs;
        await newLabWith({ timing: { ...PATIENT, commandMs } });
        const gated = new GatedRecordStore(lab.records);
        const [writer, reader] = [await lab.replica({ records: gated }), await lab.replica()];
        const repository = newRepository();
        await writer.tags.set(repository, tag, OLD, unending);
        await reader.tags.list(repository, unending);
        const gate = gated.gate(side, change === 'set' ? 'put' : 'delete', part);
        const writing =
          change === 'set'
            ? writer.tags.set(repository, tag, NEW, unending)
            : writer.tags.delete(repository, tag, unending);
        await gate.reached;
        await faults[fault]!();
        const meanwhile = await answers(lab.truth, repository);
        for (let i = 0; i < 3; i += 1) expect(await answers(reader, repository)).toEqual(meanwhile);
        gate.release();
        await writing;
        const truth = await answers(lab.truth, repository);
        expect(await answers(reader, repository)).toEqual(truth);
        expect(await answers(writer, repository)).toEqual(truth);
        if (fault === 'hang') lab.redis.resume();
        expect(await answers(reader, repository)).toEqual(truth);
        expect(await answers(writer, repository)).toEqual(truth);
        await Promise.all([lab.reachable(writer), lab.reachable(reader)]);
        await expectTruth([writer, reader], repository);
      },
    );

    test('no Redis while all is written and read, then an empty one: the same answers', async () => {
      await newLab();
      const [a, b] = [await lab.replica(), await lab.replica()];
      const repository = newRepository();
      await a.tags.set(repository, tag, OLD, unending);
      expect(await b.tags.get(repository, tag, unending)).toBe(OLD);
      lab.redis.pause();
      await a.tags.set(repository, tag, NEW, unending);
      await a.members.add(repository, 'manifest', OLD, unending);
      expect(await a.tags.get(repository, tag, unending)).toBe(NEW);
      expect(await b.tags.get(repository, tag, unending)).toBe(NEW);
      await lab.redis.restart();
      await Promise.all([lab.reachable(a), lab.reachable(b)]);
      await expectTruth([a, b], repository);
    });
  });

  describe('a writer that dies', () => {
    const newLab = (): Promise<IndexLab> => newLabWith({ timing: PATIENT });
    test.each([
      ['before it reached the store', 'before', '/index/'],
      ['after the history link', 'after', '/index/'],
      ['after its store write', 'after', '/current/'],
    ] as const)('%s leaves no answer that differs from the store', async (_, side, part) => {
      await newLab();
      const gated = new GatedRecordStore(lab.records);
      const dying = await lab.replica({ records: gated });
      const [reader, other] = [await lab.replica(), await lab.replica()];
      const repository = newRepository();
      await reader.tags.set(repository, tag, OLD, unending);
      await reader.tags.list(repository, unending);
      const gate = gated.gate(side, 'put', part);
      void dying.tags.set(repository, tag, NEW, unending);
      await gate.reached;
      await dying.close();
      await expectTruth([reader, other], repository);
      await other.tags.set(repository, tag, NEWER, unending);
      expect(await reader.tags.get(repository, tag, unending)).toBe(NEWER);
      await expectTruth([reader, other], repository);
    });

    test.each(['reads', 'writes'] as const)(
      'after a flush that took its mark away, while another %s, leaves no answer that differs from the store',
      async (what) => {
        await newLab();
        const gated = new GatedRecordStore(lab.records);
        const dying = await lab.replica({ records: gated });
        const [reader, other] = [await lab.replica(), await lab.replica()];
        const repository = newRepository();
        await reader.tags.set(repository, tag, OLD, unending);
        const before = gated.gate('before', 'put', '/current/');
        const after = gated.gate('after', 'put', '/current/');
        void dying.tags.set(repository, tag, NEW, unending);
        await before.reached;
        await lab.redis.flush();
        // Nothing of this is kept, because the epoch is younger than a store write may last.
        if (what === 'writes') await other.tags.set(repository, tag, NEWER, unending);
        const now = what === 'writes' ? NEWER : OLD;
        for (let i = 0; i < 3; i += 1) {
          expect(await reader.tags.get(repository, tag, unending)).toBe(now);
        }
        before.release();
        await after.reached;
        await dying.close();
        expect(await lab.truth.tags.get(repository, tag, unending)).toBe(NEW);
        await expectTruth([reader, other], repository);
      },
    );
  });
});
