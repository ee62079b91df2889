import { afterEach, describe, expect, test } from '@jest/globals';

import { RecordedEdge, until } from '../../../shared/http/testing/recorded-edge.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import { startPush, type TestPush } from '../testing/start-push.ts';
import { reapOnce, runUploadReaper, type UploadReaperLoopOptions } from './upload-reaper.ts';

const unending = new AbortController().signal;
const HOUR_MS = 60 * 60 * 1000;

let push: TestPush;
afterEach(() => push.close());

/** Real sleep replaced by one that counts and ends at once, so many times; time stands `aheadMs` in the future. */
function clockAhead(aheadMs: number, sleeps: number[] = [], times = 0): Clock {
  return {
    now: () => new Date(Date.now() + aheadMs),
    monotonicMs: () => systemClock.monotonicMs(),
    sleep: (ms, signal) => {
      sleeps.push(ms);
      return sleeps.length < times ? Promise.resolve() : systemClock.sleep(ms, signal);
    },
  };
}

function optionsWith(
  clock: Clock,
  more: Partial<UploadReaperLoopOptions> = {},
): UploadReaperLoopOptions {
  const { records, index } = push.store;
  return {
    records,
    uploads: push.uploads,
    leases: index.leases,
    clock,
    log: new RecordedEdge().log,
    uploadTtlSeconds: 3600,
    ...more,
  };
}

async function openUpload(name: string): Promise<string> {
  const answer = await push.send(`/v2/${name}/blobs/uploads/`, { method: 'POST' });
  return String(answer.headers.location);
}

describe('the upload reaper', () => {
  test('removes old sessions, also of repositories that have nothing else', async () => {
    push = await startPush();
    const locations = [await openUpload('first/only'), await openUpload('first/only/deeper/one')];
    expect(await reapOnce(optionsWith(clockAhead(HOUR_MS - 60_000)), unending)).toBe(0);
    for (const location of locations) expect((await push.send(location)).status).toBe(204);
    expect(await reapOnce(optionsWith(clockAhead(HOUR_MS + 60_000)), unending)).toBe(2);
    for (const location of locations) expect((await push.send(location)).status).toBe(404);
  });

  test('goes on every hour after a round that failed, until it is stopped', async () => {
    push = await startPush();
    await openUpload('loop/one');
    const sleeps: number[] = [];
    const stop = new AbortController();
    const edge = new RecordedEdge();
    let calls = 0;
    const reap = (...parameters: Parameters<typeof push.uploads.reap>): Promise<number> => {
      calls += 1;
      return calls === 1
        ? Promise.reject(new Error('the store is away'))
        : push.uploads.reap(...parameters);
    };
    const options = optionsWith(clockAhead(2 * HOUR_MS, sleeps, 2), {
      uploads: { reap },
      log: edge.log,
    });
    const running = runUploadReaper(options, stop.signal);
    await until(() => calls === 2 && sleeps.length === 2);
    stop.abort();
    await running;
    expect(sleeps).toEqual([HOUR_MS, HOUR_MS]);
    expect(edge.lines.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      'warn: removing abandoned uploads of a repository failed',
      'info: abandoned uploads were removed',
    ]);
  });

  test('leaves the work to another replica that is at it', async () => {
    push = await startPush();
    await openUpload('busy/one');
    const leases = { acquire: () => Promise.resolve(undefined) };
    const sleeps: number[] = [];
    const stop = new AbortController();
    const running = runUploadReaper(
      optionsWith(clockAhead(2 * HOUR_MS, sleeps), { leases }),
      stop.signal,
    );
    await until(() => sleeps.length === 1);
    stop.abort();
    await running;
    expect(await reapOnce(optionsWith(clockAhead(2 * HOUR_MS)), unending)).toBe(1);
  });
});
