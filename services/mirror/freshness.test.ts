import { beforeEach, describe, expect, test } from '@jest/globals';

import { testUpstream } from '../../shared/config/testing/test-upstream.ts';
import type { SharedHints } from '../../shared/index/ports.ts';
import { ProcessHints } from '../../shared/index/store/process-hints.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../../shared/index/testing/memory-record-store.ts';
import { RecordedEdge } from '../../shared/http/testing/recorded-edge.ts';
import { parseRepositoryName, parseTag } from '../../shared/oci/reference.ts';
import { BackgroundTasks } from './background-tasks.ts';
import { ConfirmationRecords } from './confirmation-records.ts';
import { TagFreshness, tagTerms, type TagTerms } from './freshness.ts';
import { limitedFor, unavailable } from './upstream/outcome.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const tag = parseTag('1')!;
const repository = {
  upstream: testUpstream(),
  upstreamRepository: parseRepositoryName('library/hello')!,
  cached: parseRepositoryName('mirror/library/hello')!,
};

let clock: ManualClock;
let records: MemoryRecordStore;
let background: BackgroundTasks;
let hints: SharedHints;
let terms: TagTerms;

beforeEach(() => {
  clock = new ManualClock();
  records = new MemoryRecordStore();
  background = new BackgroundTasks(new RecordedEdge().log);
  hints = new ProcessHints(clock);
  terms = { ttlMs: MINUTE, maxStaleMs: undefined };
});

/** What a process of its own knows. */
const process = (own: SharedHints = hints): TagFreshness =>
  new TagFreshness({
    hints: own,
    confirmations: new ConfirmationRecords(records),
    background,
    clock,
    terms: () => terms,
    lifetime: new AbortController().signal,
  });

describe('a tag', () => {
  test('is fresh for its life, then confirmed behind pulls while it is asked for often, then due', async () => {
    const freshness = process();
    expect(await freshness.state(repository, tag)).toBe('due');
    await freshness.confirm(repository, tag);
    const states: string[] = [];
    for (let second = 0; second < 130; second += 10) {
      states.push(await freshness.state(repository, tag));
      clock.advance(10_000);
    }
    expect(states).toEqual([
      ...Array<string>(6).fill('fresh'),
      ...Array<string>(6).fill('behind'),
      'due',
    ]);
  });

  test('that nobody asked for within its life is due', async () => {
    const freshness = process();
    await freshness.confirm(repository, tag);
    await freshness.state(repository, tag);
    clock.advance(MINUTE + 1);
    expect(await freshness.state(repository, tag)).toBe('due');
  });

  test('is served behind its life for five minutes at the most, and never beyond the limit on stale tags', async () => {
    terms = { ttlMs: HOUR, maxStaleMs: undefined };
    const freshness = process();
    await freshness.confirm(repository, tag);
    clock.advance(HOUR - 1);
    await freshness.state(repository, tag);
    clock.advance(5 * MINUTE);
    expect(await freshness.state(repository, tag)).toBe('behind');
    terms = { ttlMs: HOUR, maxStaleMs: HOUR + MINUTE };
    expect(await freshness.state(repository, tag)).toBe('due');
    terms = { ttlMs: HOUR, maxStaleMs: undefined };
    clock.advance(1);
    expect(await freshness.state(repository, tag)).toBe('due');
  });

  test('that another process confirmed is fresh here too', async () => {
    await process().confirm(repository, tag);
    expect(await process().state(repository, tag)).toBe('fresh');
    expect(await process().isFresh(repository, tag)).toBe(true);
  });

  test('is never fresh with a life of zero', async () => {
    terms = { ttlMs: 0, maxStaleMs: undefined };
    const freshness = process();
    await freshness.confirm(repository, tag);
    expect(await freshness.state(repository, tag)).toBe('due');
    expect(await freshness.isFresh(repository, tag)).toBe(false);
  });

  test('is known in this process although hints and the store fail', async () => {
    const broken = {
      get: () => Promise.reject(new Error('gone')),
      put: () => Promise.reject(new Error('gone')),
    };
    const freshness = process(broken);
    expect(await freshness.state(repository, tag)).toBe('due');
    await freshness.confirm(repository, tag);
    expect(await freshness.state(repository, tag)).toBe('fresh');
  });
});

describe('the age of a tag', () => {
  test('is told by the store after a restart with everything else lost', async () => {
    const freshness = process();
    await freshness.confirm(repository, tag);
    await background.idle();
    clock.advance(3 * HOUR);
    const restarted = process(new ProcessHints(clock));
    expect(await restarted.ageMs(repository, tag)).toBe(3 * HOUR);
    expect(await restarted.state(repository, tag)).toBe('due');
  });

  test('is not known of a tag that nobody confirmed, or that is forgotten', async () => {
    const freshness = process();
    expect(await freshness.ageMs(repository, tag)).toBeUndefined();
    await freshness.confirm(repository, tag);
    await background.idle();
    await freshness.forget(repository, tag);
    expect(await freshness.ageMs(repository, tag)).toBeUndefined();
    expect(await process().ageMs(repository, tag)).toBeUndefined();
  });

  test.each([
    [undefined, 24 * HOUR],
    [8 * HOUR, HOUR],
  ])('with a limit of %s ms is written to the store every %s ms', async (maxStaleMs, everyMs) => {
    terms = { ttlMs: MINUTE, maxStaleMs };
    const freshness = process();
    let writes = 0;
    const put = records.put.bind(records);
    records.put = (...args) => {
      writes += 1;
      return put(...args);
    };
    for (let elapsed = 0; elapsed <= 2 * everyMs; elapsed += everyMs / 10) {
      await freshness.confirm(repository, tag);
      // Another process has the hint, and writes no more.
      await process().ageMs(repository, tag);
      clock.advance(everyMs / 10);
    }
    await background.idle();
    expect(writes).toBe(3);
  });

  test('by a clock that was set back is not believed', async () => {
    await process().confirm(repository, tag);
    clock.advance(-HOUR);
    expect(await process().isFresh(repository, tag)).toBe(false);
  });
});

describe('a pause', () => {
  test('lasts as long as the upstream wished, and a confirmation ends it', async () => {
    const freshness = process();
    const limited = limitedFor(30);
    freshness.pause(repository, tag, limited);
    clock.advance(29_999);
    expect(freshness.pausedBy(repository, tag)).toBe(limited);
    clock.advance(1);
    expect(freshness.pausedBy(repository, tag)).toBeUndefined();
    freshness.pause(repository, tag, unavailable('timeout', 'late'));
    clock.advance(9_999);
    expect(freshness.pausedBy(repository, tag)).toBeDefined();
    await freshness.confirm(repository, tag);
    expect(freshness.pausedBy(repository, tag)).toBeUndefined();
  });
});

test.each([
  [60, undefined, 1, { ttlMs: MINUTE, maxStaleMs: undefined }],
  [60, undefined, 4, { ttlMs: 4 * MINUTE, maxStaleMs: undefined }],
  [60, 120, 4, { ttlMs: 2 * MINUTE, maxStaleMs: 2 * MINUTE }],
  [60, 0, 1, { ttlMs: MINUTE, maxStaleMs: MINUTE }],
])(
  'a TTL of %s s, stale for %s s, stretched %s times',
  (ttl, maxStaleSeconds, stretch, expected) => {
    expect(tagTerms({ tagTtlSeconds: ttl, maxStaleSeconds }, stretch)).toEqual(expected);
  },
);
