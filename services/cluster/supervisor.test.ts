import { beforeEach, describe, expect, test } from '@jest/globals';

import { loadConfig, type LoadedConfig } from '../../shared/config/load-config.ts';
import { RecordedEdge } from '../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import { createProgramShare } from '../process/program-share.ts';
import { shareOfProgram } from './share-of-program.ts';
import { Supervisor } from './supervisor.ts';
import { FakeWorker } from './testing/fake-worker.ts';

const unending = new AbortController().signal;

function configuration(): LoadedConfig {
  const env = { RUN_AS_MIRROR: 'true', HTTP_PORT: '0', SPOOL_MAX_BYTES: '100' };
  const result = loadConfig(env, { mode: 'serve', readFile: () => '' });
  if (!result.isValid) throw new Error('the configuration is not valid');
  return result.config;
}

/** Lets everything happen that waits for nothing. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
};

describe('Supervisor', () => {
  let clock: ManualClock;
  let launched: FakeWorker[];
  let problems: (string | undefined)[];
  let replaced: number;
  beforeEach(() => {
    clock = new ManualClock();
    launched = [];
    problems = [];
    replaced = 0;
  });

  function supervise(count: number): Supervisor {
    const config = configuration();
    return new Supervisor({
      config,
      count,
      launch: () => {
        const worker = new FakeWorker(problems.shift());
        launched.push(worker);
        return worker;
      },
      share: createProgramShare(config, clock, () => undefined),
      clock,
      log: new RecordedEdge().log,
      onEnded: () => undefined,
      onReplaced: () => {
        replaced += 1;
      },
    });
  }

  const numbers = (): (number | undefined)[] => launched.map(({ job }) => job?.number);

  test('starts the first worker alone, so that its problem is told once', async () => {
    problems = ['the folder is full'];
    await expect(supervise(3).start()).rejects.toThrow('the folder is full');
    expect(launched).toHaveLength(1);
  });

  test('fails to start when a worker dies before it serves', async () => {
    const supervisor = supervise(2);
    const starting = supervisor.start();
    launched[0]?.die({ code: 7, signal: null });
    await expect(starting).rejects.toThrow('worker 1 ended (exit code 7)');
  });

  test('starts another worker with the number of a dead one, later each time', async () => {
    const supervisor = supervise(2);
    await supervisor.start();
    expect(numbers()).toEqual([1, 2]);
    for (const pauseMs of [250, 500, 1000]) {
      const before = launched.length;
      const last = launched.findLast(({ job }) => job?.number === 2);
      last?.kill();
      await settle();
      expect(supervisor.places[1]?.current).toBeUndefined();
      clock.advance(pauseMs - 1);
      await settle();
      expect(launched).toHaveLength(before);
      clock.advance(1);
      await settle();
      expect(numbers().at(-1)).toBe(2);
      expect(launched).toHaveLength(before + 1);
    }
    expect(replaced).toBe(3);
    await supervisor.stop(1000);
  });

  test('ends the program when one number dies five times in a row', async () => {
    const supervisor = supervise(2);
    await supervisor.start();
    const outcome = supervisor.failed.catch((error: unknown) => String(error));
    for (let death = 0; death < 5; death += 1) {
      launched.findLast(({ job }) => job?.number === 1)?.kill();
      await settle();
      clock.advance(10_000);
      await settle();
    }
    expect(await outcome).toContain('worker 1 died 5 times in a row');
    await supervisor.stop(1000);
  });

  test('goes on trying while others serve, when a worker cannot start, and forgets deaths that were long ago', async () => {
    const supervisor = supervise(2);
    await supervisor.start();
    problems = Array.from({ length: 12 }, () => 'the store is away');
    launched[0]?.kill();
    for (let round = 0; round < 13; round += 1) {
      await settle();
      clock.advance(10_000);
    }
    await settle();
    expect(launched).toHaveLength(2 + 13);
    expect(supervisor.places[0]?.current).toBeDefined();
    for (let day = 0; day < 8; day += 1) {
      clock.advance(60_000);
      launched.findLast(({ job }) => job?.number === 1)?.kill();
      await settle();
      clock.advance(250);
      await settle();
    }
    expect(supervisor.places[0]?.current).toBeDefined();
    await supervisor.stop(1000);
  });

  test('kills a worker that does not answer', async () => {
    const supervisor = supervise(1);
    await supervisor.start();
    launched[0]!.isHanging = true;
    for (let ping = 0; ping < 5; ping += 1) {
      clock.advance(10_000);
      await settle();
    }
    expect(launched.length).toBeGreaterThan(1);
    await supervisor.stop(1000);
  });

  test('kills what does not stop in time', async () => {
    const supervisor = supervise(2);
    await supervisor.start();
    launched[1]!.isHanging = true;
    const stopped = supervisor.stop(1000);
    await settle();
    clock.advance(1000);
    await stopped;
    expect(await launched[0]?.ended).toEqual({ code: 0, signal: null });
    expect(await launched[1]?.ended).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test('gives the others the port that the first one found', async () => {
    const supervisor = supervise(2);
    await supervisor.start();
    expect(launched.map(({ job }) => job?.config.roles[0].http.port)).toEqual([0, 5001]);
    await supervisor.stop(1000);
  });

  test('workers share leases, hints and the room of the spool, and lose them when they die', async () => {
    const supervisor = supervise(2);
    await supervisor.start();
    const [first, second] = launched.map(({ primary }) => shareOfProgram(primary));
    const held = await first!.leases.acquire('tag', 0, unending);
    expect(held).toBeDefined();
    expect(await second!.leases.acquire('tag', 0, unending)).toBeUndefined();
    const leaving = new AbortController();
    const left = second!.leases.acquire('tag', 5_000, leaving.signal);
    leaving.abort(new Error('the client left'));
    await expect(left).rejects.toBe(leaving.signal.reason);
    const waiting = second!.leases.acquire('tag', 5_000, unending);
    await first!.hints.put('fresh', '1', 1000);
    expect(await second!.hints.get('fresh')).toBe('1');
    expect(await first!.spoolRoom.reserve(60)).toBe(true);
    expect(await second!.spoolRoom.reserve(60)).toBe(false);

    launched[0]!.kill();
    expect(await waiting).toBeDefined();
    // Its files are still there: they go when another takes its place.
    expect(await second!.spoolRoom.reserve(60)).toBe(false);
    clock.advance(250);
    await settle();
    expect(await second!.spoolRoom.reserve(60)).toBe(true);
    second!.spoolRoom.release(60);
    await supervisor.stop(1000);
  });
});
