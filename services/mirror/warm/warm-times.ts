import { Cron } from 'croner';

import type { WarmSchedule } from '../../../shared/config/warm-schedule.ts';

/** A moment at which all replicas mean the same run by the same name. */
export interface WarmTime {
  readonly at: Date;
  readonly name: string;
}

/** The next run after a moment. Intervals are counted from the epoch, so that replicas agree without talking. */
export function nextWarmTime(schedule: WarmSchedule, after: Date): WarmTime | undefined {
  const at =
    schedule.kind === 'interval'
      ? new Date((Math.floor(after.getTime() / schedule.ms) + 1) * schedule.ms)
      : new Cron(schedule.pattern, { timezone: 'UTC', paused: true }).nextRun(after);
  return at ? { at, name: at.toISOString() } : undefined;
}

/** The run that a process makes up for when it starts: that of the current interval. */
export function currentWarmTime(schedule: WarmSchedule, now: Date): WarmTime | undefined {
  if (schedule.kind === 'cron') return undefined;
  const at = new Date(Math.floor(now.getTime() / schedule.ms) * schedule.ms);
  return { at, name: at.toISOString() };
}
