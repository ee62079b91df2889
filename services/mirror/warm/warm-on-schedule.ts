import { readFile } from 'node:fs/promises';

import pLimit from 'p-limit';

import type { WarmConfig } from '../../../shared/config/config.ts';
import { warmImage, type WarmSource } from '../../../shared/content/warm/warm-image.ts';
import { parseWarmList, type WarmEntry } from '../../../shared/content/warm/warm-list.ts';
import type { Leases, SharedHints } from '../../../shared/index/ports.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { Log } from '../../../shared/observability/observer.ts';
import { currentWarmTime, nextWarmTime, type WarmTime } from './warm-times.ts';

export interface WarmOnScheduleOptions {
  readonly leases: Leases;
  readonly hints: SharedHints;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined for what this store alone serves: there is nothing to fetch. */
  readonly sourceOf: (entry: WarmEntry, signal: AbortSignal) => Promise<WarmSource | undefined>;
}

const AT_ONCE = 2;
/** That a run was done is remembered for longer than any two clocks differ. */
const DONE_MS = 24 * 60 * 60_000;
/** Long waits are cut, since a clock may be set meanwhile. */
const MAX_SLEEP_MS = 60 * 60_000;

/**
 * Keeps a list of images held: at each time of the schedule one of the replicas pulls them all, by the fills that
 * clients use. The list is read again each time. Resolves when the signal aborts.
 */
export async function warmOnSchedule(
  { file, schedule, platforms }: WarmConfig,
  options: WarmOnScheduleOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = options;
  let time = currentWarmTime(schedule, clock.now()) ?? nextWarmTime(schedule, clock.now());
  try {
    while (time && !signal.aborted) {
      await sleepUntil(time.at, clock, signal);
      try {
        await runOnce(time, { file, platforms }, options, signal);
      } catch (error) {
        signal.throwIfAborted();
        log.warn(
          { operation: 'warm', err: error },
          'the images to be kept warm could not be pulled',
        );
      }
      time = nextWarmTime(schedule, clock.now());
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function sleepUntil(at: Date, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    const leftMs = at.getTime() - clock.now().getTime();
    if (leftMs <= 0) return;
    await clock.sleep(Math.min(leftMs, MAX_SLEEP_MS), signal);
  }
}

/** Nothing, when another replica does it or has done it. */
async function runOnce(
  time: WarmTime,
  { file, platforms }: Pick<WarmConfig, 'file' | 'platforms'>,
  options: WarmOnScheduleOptions,
  signal: AbortSignal,
): Promise<void> {
  const { leases, hints, log } = options;
  const lease = await leases.acquire('warm', 0, signal);
  if (!lease) return;
  const whileLeased = AbortSignal.any([signal, lease.lost]);
  try {
    const done = `warm:${time.name}`;
    if ((await hints.get(done).catch(() => undefined)) !== undefined) return;
    const { entries, problems } = parseWarmList(await readFile(file, 'utf8'));
    for (const problem of problems) log.warn({ operation: 'warm', file }, problem);
    const limit = pLimit(AT_ONCE);
    const outcomes = await Promise.all(
      entries.map((entry) => limit(() => warmEntry(entry, platforms, options, whileLeased))),
    );
    whileLeased.throwIfAborted();
    const held = outcomes.filter(Boolean).length;
    log.info({ operation: 'warm', held, failed: entries.length - held }, 'images were kept warm');
    await hints.put(done, '1', DONE_MS).catch(() => undefined);
  } finally {
    await lease.release();
  }
}

async function warmEntry(
  entry: WarmEntry,
  platforms: readonly string[],
  { sourceOf, log }: WarmOnScheduleOptions,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    signal.throwIfAborted();
    const source = await sourceOf(entry, signal);
    if (source) await warmImage(entry.image.reference, platforms, source);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    const reason = error instanceof Error ? error.message : String(error);
    log.warn({ operation: 'warm', image: entry.text, reason }, 'an image could not be kept warm');
    return false;
  }
}
