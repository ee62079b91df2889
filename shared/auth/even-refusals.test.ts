import { expect, test } from '@jest/globals';

import type { Clock } from '../lifecycle/clock.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { type Access, ANONYMOUS } from './access.ts';
import { EvenRefusals } from './even-refusals.ts';

/** Time passes by what is done alone. */
class WorkClock implements Clock {
  ms = 1_000;
  now(): Date {
    return new Date(this.ms);
  }
  monotonicMs(): number {
    return this.ms;
  }
  sleep(ms: number): Promise<void> {
    this.ms += ms;
    return Promise.resolve();
  }
}

const pull = (name: string): Access => ({ type: 'repository', name, action: 'pull' });
const LOOKED_MS: Readonly<Record<string, number>> = { secret: 6.4, absent: 4.8, slow: 14, open: 3 };

test('a refusal takes the same time whatever was looked up for it, and leave takes no longer (T-EX1)', async () => {
  const clock = new WorkClock();
  const policy = new EvenRefusals(
    {
      allows: async (_principal, { name }) => {
        await clock.sleep(LOOKED_MS[name] ?? 0);
        return name === 'open';
      },
    },
    clock,
  );
  const timeOf = async (name: string): Promise<number> => {
    const beganMs = clock.ms;
    await policy.allows(ANONYMOUS, pull(name), unending);
    return Math.round((clock.ms - beganMs) * 10) / 10;
  };
  expect([await timeOf('secret'), await timeOf('absent'), await timeOf('slow')]).toEqual([
    10, 10, 20,
  ]);
  expect(await timeOf('open')).toBe(3);
});
