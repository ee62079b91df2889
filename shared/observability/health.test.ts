import { setImmediate } from 'node:timers/promises';

import { describe, expect, test } from '@jest/globals';

import type { Clock } from '../lifecycle/clock.ts';
import { Health } from './health.ts';

/** Time that moves when a test says so. */
class SteppedClock implements Clock {
  #ms = 0;
  readonly #sleepers: { readonly atMs: number; wake(): void }[] = [];

  now(): Date {
    return new Date(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sleepers.push({ atMs: this.#ms + ms, wake: resolve });
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    });
  }

  async advance(ms: number): Promise<void> {
    this.#ms += ms;
    for (const sleeper of this.#sleepers) if (sleeper.atMs <= this.#ms) sleeper.wake();
    await setImmediate();
  }
}

function open(probe: () => Promise<unknown> = () => Promise.resolve(), degraded: string[] = []) {
  const clock = new SteppedClock();
  const signals: AbortSignal[] = [];
  const health = new Health({
    clock,
    probeStore: (signal) => {
      signals.push(signal);
      return probe();
    },
    degraded: () => Promise.resolve(degraded),
  });
  return { clock, health, signals };
}

const NEVER = (): Promise<unknown> => new Promise(() => undefined);

describe('Health', () => {
  test('is not ready before the start is complete, and does not ask the store', async () => {
    const { health, signals } = open();
    expect(await health.readiness()).toEqual({ isReady: false, state: 'starting', degraded: [] });
    expect(signals).toHaveLength(0);
  });

  test('is ready after the start, and names what is degraded without minding it', async () => {
    const { health } = open(undefined, ['redis', 'upstream mirror']);
    health.started();
    expect(await health.readiness()).toEqual({
      isReady: true,
      state: 'ready',
      degraded: ['redis', 'upstream mirror'],
    });
  });

  test('is never ready again once it stops', async () => {
    const { health } = open();
    health.started();
    health.stopping();
    health.started();
    expect(await health.readiness()).toMatchObject({ isReady: false, state: 'stopping' });
  });

  test('is not ready while the store fails, and asks it once in five seconds', async () => {
    let isDown = true;
    const { clock, health, signals } = open(() =>
      isDown ? Promise.reject(new Error('down')) : Promise.resolve(),
    );
    health.started();
    expect(await health.readiness()).toMatchObject({ isReady: false, state: 'store-unavailable' });
    isDown = false;
    await clock.advance(4999);
    expect((await health.readiness()).isReady).toBe(false);
    expect(signals).toHaveLength(1);
    await clock.advance(1);
    expect((await health.readiness()).isReady).toBe(true);
    expect(signals).toHaveLength(2);
  });

  test('gives a store that never answers its own deadline and then aborts the probe', async () => {
    const { clock, health, signals } = open(NEVER);
    health.started();
    const readiness = health.readiness();
    await setImmediate();
    await clock.advance(3000);
    expect(await readiness).toMatchObject({ isReady: false, state: 'store-unavailable' });
    expect(signals[0]?.aborted).toBe(true);
  });

  test('asks the store once for questions that come together', async () => {
    const { health, signals } = open();
    health.started();
    await Promise.all([health.readiness(), health.readiness(), health.readiness()]);
    expect(signals).toHaveLength(1);
  });
});
