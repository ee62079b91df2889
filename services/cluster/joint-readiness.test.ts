import { describe, expect, test } from '@jest/globals';

import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { Readiness } from '../../shared/observability/health.ts';
import { jointReadiness } from './joint-readiness.ts';

const says = (number: number, state: Readiness['state'], degraded: string[] = []) => ({
  number,
  ask: () => Promise.resolve({ isReady: state === 'ready', state, degraded }),
});

describe('jointReadiness', () => {
  test('is ready while one worker is, and names the others', async () => {
    const workers = [
      says(1, 'ready', ['redis']),
      { number: 2, ask: undefined },
      { number: 3, ask: () => Promise.reject<Readiness>(new Error('it died')) },
    ];
    expect(await jointReadiness(workers, 'restarting', systemClock)).toEqual({
      isReady: true,
      state: 'ready',
      degraded: ['redis', 'worker-2', 'worker-3'],
      workers: [
        { worker: 1, state: 'ready' },
        { worker: 2, state: 'restarting' },
        { worker: 3, state: 'silent' },
      ],
    });
  });

  test('says that the store is away when a worker says so and none is ready', async () => {
    const workers = [says(1, 'store-unavailable'), says(2, 'starting')];
    const joint = await jointReadiness(workers, 'restarting', systemClock);
    expect(joint).toMatchObject({ isReady: false, state: 'store-unavailable' });
  });

  test('is not ready when there is no worker', async () => {
    const joint = await jointReadiness([{ number: 1, ask: undefined }], 'restarting', systemClock);
    expect(joint).toMatchObject({ isReady: false, state: 'workers-unavailable' });
  });
});
