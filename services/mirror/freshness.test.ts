import { describe, expect, test } from '@jest/globals';

import { ProcessHints } from '../../shared/index/store/process-hints.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { parseRepositoryName, parseTag } from '../../shared/oci/reference.ts';
import { decideTag, TagFreshness } from './freshness.ts';

describe('decideTag', () => {
  test.each([
    ['not-found', 'drop', 'not-found'],
    ['denied', 'serve-stale', 'denied'],
    ['limited', 'serve-stale', 'unavailable'],
    ['unavailable', 'serve-stale', 'unavailable'],
  ] as const)('after %s: %s when held, else %s', (kind, held, unheld) => {
    expect(decideTag(kind, true)).toBe(held);
    expect(decideTag(kind, false)).toBe(unheld);
  });
});

describe('TagFreshness', () => {
  const repository = parseRepositoryName('mirror/library/hello')!;
  const tag = parseTag('1')!;
  let nowMs = 1_000;
  const clock: Clock = {
    now: () => new Date(nowMs),
    monotonicMs: () => nowMs,
    sleep: () => Promise.resolve(),
  };

  test('a confirmed tag is fresh for its life and no longer', async () => {
    const freshness = new TagFreshness(new ProcessHints(clock), clock, 60);
    expect(await freshness.isFresh(repository, tag)).toBe(false);
    await freshness.confirm(repository, tag);
    nowMs += 59_999;
    expect(await freshness.isFresh(repository, tag)).toBe(true);
    nowMs += 2;
    expect(await freshness.isFresh(repository, tag)).toBe(false);
  });

  test('what another process confirmed is fresh here too', async () => {
    const hints = new ProcessHints(clock);
    await new TagFreshness(hints, clock, 60).confirm(repository, tag);
    expect(await new TagFreshness(hints, clock, 60).isFresh(repository, tag)).toBe(true);
  });

  test('with a life of zero nothing is fresh', async () => {
    const freshness = new TagFreshness(new ProcessHints(clock), clock, 0);
    await freshness.confirm(repository, tag);
    expect(await freshness.isFresh(repository, tag)).toBe(false);
  });

  test('hints that fail cost a question and nothing else', async () => {
    const broken = {
      get: () => Promise.reject(new Error('gone')),
      put: () => Promise.reject(new Error('gone')),
    };
    const freshness = new TagFreshness(broken, clock, 60);
    expect(await freshness.isFresh(repository, tag)).toBe(false);
    await freshness.confirm(repository, tag);
    expect(await freshness.isFresh(repository, tag)).toBe(true);
  });

  test('a pause lasts as long as the upstream wished, and a confirmation ends it', async () => {
    const freshness = new TagFreshness(new ProcessHints(clock), clock, 60);
    freshness.pause(repository, tag, 30);
    nowMs += 29_999;
    expect(freshness.isPaused(repository, tag)).toBe(true);
    nowMs += 1;
    expect(freshness.isPaused(repository, tag)).toBe(false);
    freshness.pause(repository, tag);
    await freshness.confirm(repository, tag);
    expect(freshness.isPaused(repository, tag)).toBe(false);
  });
});
