import { describe, expect, test } from '@jest/globals';

import { answerOf, decideTag, holdingOf, type TagAnswer } from './tag-decision.ts';
import { unavailable } from './upstream/outcome.ts';

describe('decideTag', () => {
  test.each([
    ['confirmed', 'serve', 'serve', 'fetch'],
    ['moved', 'fetch', 'fetch', 'fetch'],
    ['not-found', 'drop', 'drop', 'not-found'],
    ['denied', 'serve-stale', 'denied', 'denied'],
    ['limited', 'serve-stale', 'unavailable', 'unavailable'],
    ['timeout', 'serve-stale', 'unavailable', 'unavailable'],
    ['connection', 'serve-stale', 'unavailable', 'unavailable'],
    ['server-error', 'serve-stale', 'unavailable', 'unavailable'],
    ['paused', 'serve-stale', 'unavailable', 'unavailable'],
    ['garbage', 'serve-stale', 'unavailable', 'unavailable'],
    ['redirect', 'serve-stale', 'unavailable', 'unavailable'],
    ['realm', 'serve-stale', 'unavailable', 'unavailable'],
    ['digest-mismatch', 'serve-stale', 'unavailable', 'unavailable'],
  ] as const satisfies (readonly [TagAnswer, ...string[]])[])(
    'after %s: %s when held, %s when held for too long, else %s',
    (answer, held, tooOld, unheld) => {
      expect(decideTag(answer, 'held', 'drop')).toBe(held);
      expect(decideTag(answer, 'too-old', 'drop')).toBe(tooOld);
      expect(decideTag(answer, 'unheld', 'drop')).toBe(unheld);
      if (answer !== 'not-found') expect(decideTag(answer, 'held', 'keep')).toBe(held);
    },
  );

  test('keeps a tag that the upstream deleted, where it is to be kept, as long as it may be stale', () => {
    expect(decideTag('not-found', 'held', 'keep')).toBe('serve-stale');
    expect(decideTag('not-found', 'too-old', 'keep')).toBe('not-found');
    expect(decideTag('not-found', 'unheld', 'keep')).toBe('not-found');
  });

  test('answers 404 to nobody whose tag could not be asked for', () => {
    const notTold = ['limited', 'timeout', 'connection', 'server-error', 'paused', 'garbage'];
    for (const answer of notTold as TagAnswer[]) {
      for (const holding of ['held', 'too-old', 'unheld'] as const) {
        for (const onDeletedTag of ['drop', 'keep'] as const) {
          expect(['serve-stale', 'unavailable']).toContain(
            decideTag(answer, holding, onDeletedTag),
          );
        }
      }
    }
  });
});

test('answerOf tells failures apart by their reasons', () => {
  expect(answerOf({ kind: 'not-found' })).toBe('not-found');
  expect(answerOf(unavailable('timeout', 'late'))).toBe('timeout');
});

test.each([
  [false, 0, 1000, 'unheld'],
  [true, 1_000_000, undefined, 'held'],
  [true, undefined, undefined, 'held'],
  [true, 1000, 1000, 'held'],
  [true, 1001, 1000, 'too-old'],
  [true, undefined, 1000, 'too-old'],
] as const)('holdingOf(%s, age %s ms, limit %s ms) is %s', (isHeld, ageMs, maxStaleMs, holding) => {
  expect(holdingOf(isHeld, ageMs, maxStaleMs)).toBe(holding);
});
