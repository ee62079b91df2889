import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, expect, test } from '@jest/globals';

import type { RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import { digestOfText, newRepository, tagOf } from '../../shared/index/testing/index-names.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import type { RepositoryName, Tag } from '../../shared/oci/reference.ts';
import { dirtyFolder } from '../../shared/storage/object-keys.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { createIndexLab, type IndexLab, PATIENT, TRUST_SECONDS } from '../support/index-lab.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { waitFor } from '../support/wait-for.ts';

const unending = new AbortController().signal;
const REPLICAS = 3;
const CLIENTS = 6;
const DURATION_MS = 5_000;
/** Commands of a Redis that hangs for a moment are given up, and the index is cold as long as writes may last. */
const QUICK = { commandMs: 50, writeDeadlineMs: 1_500, coldMs: 1_500 + TRUST_SECONDS * 1000 };
const TAGS = ['one', 'two'].map(tagOf);
/** A busy machine may stop a process this long between two of its lines. */
const SLACK_MS = 500;

interface Operation {
  readonly kind: 'read' | 'write';
  readonly tag: Tag;
  /** What was read, or what the write makes of the tag. */
  readonly value: Digest | undefined;
  readonly startMs: number;
  /** Infinity for a write that failed: it may take effect at any time. */
  readonly endMs: number;
}

const UNWRITTEN = { value: undefined, startMs: -Infinity, endMs: -Infinity };

/**
 * Reads that no order of the operations explains: what they answer was overwritten by a write that began after it had
 * ended and that itself had ended `staleMs` before the read began, or was not yet written when the read ended.
 */
function unexplained(history: readonly Operation[], staleMs: number): Operation[] {
  return history.filter((read) => {
    if (read.kind === 'write') return false;
    const writes = history.filter(({ kind, tag }) => kind === 'write' && tag === read.tag);
    return ![...writes, UNWRITTEN].some(
      (write) =>
        write.value === read.value &&
        write.startMs <= read.endMs &&
        !writes.some((next) => next.startMs > write.endMs && next.endMs < read.startMs - staleMs),
    );
  });
}

describeWithTools(['redis-server'], 'readers and writers of one tag on several replicas', () => {
  let lab: IndexLab;
  afterEach(async () => {
    await lab.close();
  });

  const answers = async (index: RegistryIndex, repository: RepositoryName): Promise<unknown> => ({
    tags: await Promise.all(TAGS.map((tag) => index.tags.get(repository, tag, unending))),
    list: await index.tags.list(repository, unending),
  });

  /**
   * Runs all clients to their end, and `disturb` again and again as long as they run; `written` resolves when the writes
   * that are under way have ended.
   */
  const run = async (
    seed: number,
    replicas: readonly RedisIndex[],
    repository: RepositoryName,
    disturb: (random: () => number, written: () => Promise<unknown>) => Promise<void>,
  ): Promise<Operation[]> => {
    const history: Operation[] = [];
    const underWay = new Set<Promise<unknown>>();
    const untilMs = performance.now() + DURATION_MS;
    const client = async (number: number): Promise<void> => {
      const random = seededRandom(seed * 1000 + number);
      for (let i = 0; performance.now() < untilMs; i += 1) {
        const { tags } = replicas[Math.floor(random() * REPLICAS)]!;
        const tag = TAGS[Math.floor(random() * TAGS.length)]!;
        const chance = random();
        const startMs = performance.now();
        if (chance < 0.6) {
          const value = await tags.get(repository, tag, unending);
          history.push({ kind: 'read', tag, value, startMs, endMs: performance.now() });
          continue;
        }
        const value = chance < 0.9 ? digestOfText(`${number} ${i}`) : undefined;
        const writing = value
          ? tags.set(repository, tag, value, unending)
          : tags.delete(repository, tag, unending);
        underWay.add(writing);
        const endMs = await writing.then(
          () => performance.now(),
          () => Infinity,
        );
        underWay.delete(writing);
        history.push({ kind: 'write', tag, value, startMs, endMs });
        if (random() < 0.2) await tags.list(repository, unending);
      }
    };
    const disturbing = async (): Promise<void> => {
      const random = seededRandom(seed);
      while (performance.now() < untilMs) {
        await disturb(random, () => Promise.allSettled(underWay));
      }
    };
    await Promise.all([disturbing(), ...Array.from({ length: CLIENTS }, (_, i) => client(i))]);
    return history;
  };

  const expectAgreement = async (
    replicas: readonly RedisIndex[],
    repository: RepositoryName,
  ): Promise<void> => {
    await Promise.all(replicas.map((replica) => lab.reachable(replica)));
    await waitFor(async () => (await lab.records.list(dirtyFolder, {}, unending)).length === 0, {
      what: 'the journal to be settled',
    });
    const truth = await answers(lab.truth, repository);
    for (const replica of replicas) expect(await answers(replica, repository)).toEqual(truth);
    await lab.redis.flush();
    for (const replica of replicas) expect(await answers(replica, repository)).toEqual(truth);
  };

  const newReplicas = async (): Promise<RedisIndex[]> => {
    const replicas = await Promise.all(Array.from({ length: REPLICAS }, () => lab.replica()));
    // Those that know the store by two names would not see each other's marks.
    expect(await lab.client().keys('twinport:*:epoch')).toHaveLength(1);
    return replicas;
  };

  test.each([1, 2, 3])(
    'read what was written last, also while Redis is flushed (seed %i)',
    async (seed) => {
      lab = await createIndexLab({ timing: PATIENT });
      const replicas = await newReplicas();
      const repository = newRepository();
      const linesOfStart = lab.log.length;
      const history = await run(seed, replicas, repository, async (random, written) => {
        await delay(random() * 500);
        await lab.redis.flush();
        await delay(random() * 100);
        // Answers are kept again when what was under way at the flush has ended: the time that they are not is longer.
        await written();
        await lab.warm();
      });
      expect(unexplained(history, 0)).toEqual([]);
      // Redis answered all the time, so nobody had a reason to be behind.
      expect(lab.log.slice(linesOfStart)).toEqual([]);
      await expectAgreement(replicas, repository);
    },
  );

  test.each([4, 5, 6])(
    'are behind by the trust period at most while Redis hangs, restarts and forgets (seed %i)',
    async (seed) => {
      lab = await createIndexLab({ timing: QUICK });
      const replicas = await newReplicas();
      const repository = newRepository();
      const history = await run(seed, replicas, repository, async (random, written) => {
        await delay(random() * 1_000);
        const chance = random();
        if (chance < 0.3) await lab.redis.flush();
        else if (chance < 0.5) await lab.redis.restart();
        else {
          lab.redis.pause();
          await delay(random() * 300);
          lab.redis.resume();
        }
        await delay(random() * 500);
        // Warm again between two faults, as soon as what was under way has ended. Redis may not answer yet.
        await written();
        await lab.warm().catch(() => undefined);
      });
      expect(unexplained(history, TRUST_SECONDS * 1000 + SLACK_MS)).toEqual([]);
      await expectAgreement(replicas, repository);
    },
  );
});

test('a history that goes back is found out', () => {
  const tag = tagOf('one');
  const [first, second] = ['1', '2'].map(digestOfText);
  const write = (value: Digest | undefined, startMs: number, endMs: number): Operation => ({
    kind: 'write',
    tag,
    value,
    startMs,
    endMs,
  });
  const read = (value: Digest | undefined, startMs: number): Operation => ({
    ...write(value, startMs, startMs + 1),
    kind: 'read',
  });
  const writes = [write(first, 0, 10), write(second, 20, 30)];
  expect(unexplained([...writes, read(first, 25), read(second, 25)], 0)).toEqual([]);
  expect(unexplained([...writes, read(first, 31)], 0)).toHaveLength(1);
  expect(unexplained([...writes, read(first, 31)], 5)).toEqual([]);
  expect(unexplained([...writes, read(second, 15)], 0)).toHaveLength(1);
  expect(unexplained([...writes, read(undefined, 31)], 0)).toHaveLength(1);
});
