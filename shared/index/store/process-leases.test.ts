import { beforeEach, describe, expect, test } from '@jest/globals';

import { ManualClock } from '../testing/manual-clock.ts';
import { ProcessHints } from './process-hints.ts';
import { ProcessLeases } from './process-leases.ts';

const unending = new AbortController().signal;

describe('ProcessLeases', () => {
  let clock: ManualClock;
  let leases: ProcessLeases;
  beforeEach(() => {
    clock = new ManualClock();
    leases = new ProcessLeases(clock);
  });

  test('who waits longer than it wanted goes without, and the next in the row gets the lease', async () => {
    const held = await leases.acquire('a', 0, unending);
    const impatient = leases.acquire('a', 100, unending);
    const patient = leases.acquire('a', 1_000, unending);
    clock.advance(100);
    expect(await impatient).toBeUndefined();
    await held?.release();
    const lease = await patient;
    expect(lease).toBeDefined();
    expect(await leases.acquire('a', 0, unending)).toBeUndefined();
    await lease?.release();
    expect(await leases.acquire('a', 0, unending)).toBeDefined();
    expect(clock.sleepers).toBe(0);
  });

  test('hands a lease on in the order in which it was asked for', async () => {
    const order: number[] = [];
    const held = await leases.acquire('a', 0, unending);
    const waiting = [1, 2, 3].map(async (number) => {
      const lease = await leases.acquire('a', 1_000, unending);
      order.push(number);
      await lease?.release();
    });
    await held?.release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  test('a lease that was handed to a caller who left at that moment goes on to the next', async () => {
    const held = await leases.acquire('a', 0, unending);
    const leaving = new AbortController();
    const left = leases.acquire('a', 1_000, leaving.signal);
    const next = leases.acquire('a', 1_000, unending);
    await held?.release();
    leaving.abort(new Error('the client left'));
    await expect(left).rejects.toThrow('the client left');
    expect(await next).toBeDefined();
  });

  test('tells who holds a name, and takes it from a holder that is known to be gone', async () => {
    expect(await leases.holder('a')).toBeUndefined();
    const gone = await leases.acquire('a', 0, unending, { claim: 'first' });
    expect(await leases.holder('a')).toBe('first');
    const next = leases.acquire('a', 1_000, unending, { claim: 'third' });
    expect(
      await leases.acquire('a', 0, unending, { claim: 'second', insteadOf: 'another' }),
    ).toBeUndefined();
    const taken = await leases.acquire('a', 0, unending, { claim: 'second', insteadOf: 'first' });
    expect(await leases.holder('a')).toBe('second');
    expect(gone?.lost.aborted).toBe(true);
    await gone?.release();
    expect(await leases.holder('a')).toBe('second');
    await taken?.release();
    await next;
    expect(await leases.holder('a')).toBe('third');
  });

  test('asks nothing of a caller who has left already', async () => {
    await expect(leases.acquire('a', 0, AbortSignal.abort(new Error('gone')))).rejects.toThrow();
    expect(await leases.acquire('a', 0, unending)).toBeDefined();
  });
});

describe('ProcessHints', () => {
  test('a hint is gone when its time is over, and at once when it has none', async () => {
    const clock = new ManualClock();
    const hints = new ProcessHints(clock);
    await hints.put('a', 'value', 100);
    clock.advance(99);
    expect(await hints.get('a')).toBe('value');
    clock.advance(2);
    expect(await hints.get('a')).toBeUndefined();
    await hints.put('b', 'value', 100);
    await hints.put('b', 'value', 0);
    expect(await hints.get('b')).toBeUndefined();
  });
});
