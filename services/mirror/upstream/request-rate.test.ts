import { describe, expect, test } from '@jest/globals';

import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { RequestRate } from './request-rate.ts';

describe('RequestRate', () => {
  test('lets the requests of one second through at once, the others one after the other', () => {
    const clock = new ManualClock();
    const rate = new RequestRate(4, clock);
    const waits = Array.from({ length: 6 }, () => rate.take(10_000));
    expect(waits).toEqual([0, 0, 0, 0, 250, 500]);
    clock.advance(10_000);
    expect(rate.take(10_000)).toBe(0);
  });

  test('of less than one a second lets one through at a time', () => {
    const rate = new RequestRate(0.5, new ManualClock());
    expect([rate.take(10_000), rate.take(10_000)]).toEqual([0, 2000]);
  });

  test('takes no turn of who would wait too long', () => {
    const clock = new ManualClock();
    const rate = new RequestRate(1, clock);
    expect([rate.take(1000), rate.take(1000), rate.take(1000), rate.take(1000)]).toEqual([
      0, 1000, 2000, 2000,
    ]);
    clock.advance(1000);
    expect(rate.take(1000)).toBe(1000);
  });
});
