import { setImmediate as nextTurn } from 'node:timers/promises';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { ManualClock } from '../index/testing/manual-clock.ts';
import { until } from '../http/testing/recorded-edge.ts';
import { within } from './within.ts';

let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock();
});

describe('what is waited for', () => {
  test('needs no timer when it is ready in the same turn of the event loop', async () => {
    expect(await within(Promise.resolve('ready'), 100, clock)).toBe('ready');
    await nextTurn();
    expect(clock.sleepers).toBe(0);
  });

  test('leaves no timer behind when it comes in time, or fails', async () => {
    for (const outcome of ['resolve', 'reject'] as const) {
      const work = Promise.withResolvers<string>();
      const waiting = within(work.promise, 100, clock);
      await until(() => clock.sleepers === 1);
      work[outcome]('in time');
      await (outcome === 'resolve'
        ? expect(waiting).resolves.toBe('in time')
        : expect(waiting).rejects.toBe('in time'));
      await until(() => clock.sleepers === 0);
    }
  });

  test('is undefined when it takes longer, and its failure later is nobody’s', async () => {
    const work = Promise.withResolvers<string>();
    const waiting = within(work.promise, 100, clock);
    await until(() => clock.sleepers === 1);
    clock.advance(100);
    expect(await waiting).toBeUndefined();
    work.reject(new Error('too late'));
    await nextTurn();
  });
});
