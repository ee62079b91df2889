import { expect, test } from '@jest/globals';

import { currentWarmTime, nextWarmTime } from './warm-times.ts';

const now = new Date('2026-11-21T10:07:00Z');
const interval = { kind: 'interval', ms: 15 * 60_000 } as const;
const cron = { kind: 'cron', pattern: '30 3 * * 1' } as const;

test('an interval is counted from the epoch, so that all replicas mean the same times', () => {
  expect(nextWarmTime(interval, now)?.name).toBe('2026-11-21T10:15:00.000Z');
  expect(nextWarmTime(interval, new Date('2026-11-21T10:15:00Z'))?.name).toBe(
    '2026-11-21T10:30:00.000Z',
  );
  expect(currentWarmTime(interval, now)?.name).toBe('2026-11-21T10:00:00.000Z');
});

test('cron fields are read in UTC, and a start makes up for nothing', () => {
  expect(nextWarmTime(cron, now)?.name).toBe('2026-11-23T03:30:00.000Z');
  expect(currentWarmTime(cron, now)).toBeUndefined();
});
