import { beforeEach, describe, expect, test } from '@jest/globals';

import { ReadTrust } from './read-trust.ts';

describe('The trust in the quicker way', () => {
  let nowMs: number;
  let trust: ReadTrust;
  beforeEach(() => {
    nowMs = 1_000;
    trust = new ReadTrust(() => nowMs);
  });
  const fail = (times: number): void => {
    for (let round = 0; round < times; round += 1) trust.failed();
  };

  test('outlasts failures now and then', () => {
    for (let round = 0; round < 100; round += 1) {
      fail(1);
      for (let success = 0; success < 20; success += 1) trust.succeeded();
    }
    expect(trust.isGiven).toBe(true);
  });

  test('ends with a few failures in a row, for half a minute', () => {
    fail(4);
    expect(trust.isGiven).toBe(true);
    fail(1);
    expect(trust.isGiven).toBe(false);
    nowMs += 30_000;
    expect(trust.isGiven).toBe(true);
  });

  test('ends with failures among successes, before they are every twentieth request', () => {
    let asked = 0;
    for (; trust.isGiven; asked += 1) {
      if (asked % 3 === 0) trust.failed();
      else trust.succeeded();
    }
    expect(asked).toBeLessThan(20);
  });

  test('comes back little by little: the first failure after a pause ends it again', () => {
    fail(5);
    nowMs += 30_000;
    fail(1);
    expect(trust.isGiven).toBe(false);
  });
});
