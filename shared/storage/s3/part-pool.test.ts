import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { PartPool } from './part-pool.ts';

describe('PartPool', () => {
  let pool: PartPool;
  beforeEach(() => {
    pool = new PartPool({ blockBytes: 100, partsInFlight: 2 });
  });
  afterEach(() => {
    pool.close();
    jest.useRealTimers();
  });

  test('lets so many parts be sent at once, and the next one when one of them has ended', async () => {
    const ends: (() => void)[] = [];
    const send = (): Promise<undefined> => {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      ends.push(() => resolve(undefined));
      return promise;
    };
    const [first] = await Promise.all([pool.begin(send), pool.begin(send)]);
    const third = pool.begin(send);
    const others = await Promise.race([third, Promise.resolve('waiting')]);
    expect(others).toBe('waiting');
    expect(ends).toHaveLength(2);
    ends[0]?.();
    await first.sent;
    await third;
    expect(ends).toHaveLength(3);
    for (const end of ends) end();
  });

  test('goes on when a part could not be sent', async () => {
    const fail = (): Promise<never> => Promise.reject(new Error('the store is gone'));
    for (let i = 0; i < 5; i += 1) {
      const { sent } = await pool.begin(fail);
      await expect(sent).rejects.toThrow('the store is gone');
    }
  });

  test('keeps as many blocks of the usual size as there may be parts on their way', () => {
    const blocks = Array.from({ length: 3 }, () => Buffer.allocUnsafeSlow(100));
    for (const block of blocks) pool.give(block.subarray(0, 7));
    pool.give(Buffer.allocUnsafeSlow(99));
    const taken = [pool.take(100), pool.take(100)];
    expect(taken.map((block) => block?.length)).toEqual([100, 100]);
    expect(pool.take(100)).toBeUndefined();
    expect(pool.take(99)).toBeUndefined();
  });

  test('lets its memory go when nothing was sent for a while', () => {
    jest.useFakeTimers();
    const idle = new PartPool({ blockBytes: 100, partsInFlight: 2, keptMs: 1000 });
    idle.give(Buffer.allocUnsafeSlow(100));
    jest.advanceTimersByTime(999);
    idle.give(Buffer.allocUnsafeSlow(100));
    jest.advanceTimersByTime(999);
    expect(idle.take(100)).toBeDefined();
    jest.advanceTimersByTime(1);
    expect(idle.take(100)).toBeUndefined();
    idle.close();
  });
});
