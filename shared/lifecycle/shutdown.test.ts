import { EventEmitter } from 'node:events';

import { describe, expect, test } from '@jest/globals';

import { type Clock, systemClock } from './clock.ts';
import { onStopSignals, runShutdown, type StopSignal } from './shutdown.ts';

describe('runShutdown', () => {
  test('runs the phases in order, each after the one before has ended', async () => {
    const said: string[] = [];
    const phase = (name: string) => ({
      name,
      capMs: 1000,
      run: async () => {
        said.push(`${name} begins`);
        await Promise.resolve();
        said.push(`${name} ends`);
      },
    });
    expect(await runShutdown([phase('a'), phase('b')], systemClock)).toEqual([]);
    expect(said).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  test('goes on after a phase that fails or never ends, and tells of both', async () => {
    const failure = new Error('no');
    let isAborted = false;
    let isLastRun = false;
    const faults = await runShutdown(
      [
        { name: 'fails', capMs: 1000, run: () => Promise.reject(failure) },
        {
          name: 'throws',
          capMs: 1000,
          run: () => {
            throw failure;
          },
        },
        {
          name: 'hangs',
          capMs: 5,
          run: (signal) =>
            new Promise(() => {
              signal.addEventListener('abort', () => {
                isAborted = true;
              });
            }),
        },
        {
          name: 'last',
          capMs: 1000,
          run: () => {
            isLastRun = true;
          },
        },
      ],
      // A timer that holds the process: without servers nothing else would.
      {
        ...systemClock,
        sleep: (ms, signal) =>
          new Promise((resolve, reject) => {
            const timer = setTimeout(resolve, ms);
            signal.addEventListener('abort', () => {
              clearTimeout(timer);
              reject(new Error('aborted'));
            });
          }),
      },
    );
    expect(faults).toEqual([
      { phase: 'fails', error: failure },
      { phase: 'throws', error: failure },
      { phase: 'hangs', error: new Error('not done after 5 ms') },
    ]);
    expect(isAborted).toBe(true);
    expect(isLastRun).toBe(true);
  });
});

describe('onStopSignals', () => {
  function open() {
    const source = new EventEmitter();
    const said: string[] = [];
    let nowMs = 0;
    const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
    const remove = onStopSignals(source, clock, {
      stop: (signal) => said.push(`stop ${signal}`),
      stopNow: (signal) => said.push(`now ${signal}`),
    });
    const send = (signal: StopSignal, atMs: number): void => {
      nowMs = atMs;
      source.emit(signal, signal);
    };
    return { source, said, remove, send };
  }

  test('stops at the first signal and at once at the next', () => {
    const { said, send } = open();
    send('SIGTERM', 100);
    send('SIGINT', 2000);
    expect(said).toEqual(['stop SIGTERM', 'now SIGINT']);
  });

  test('takes a signal that npm passes on right after the terminal for the same one', () => {
    const { said, send } = open();
    send('SIGINT', 100);
    send('SIGINT', 110);
    expect(said).toEqual(['stop SIGINT']);
  });

  test('leaves nothing behind', () => {
    const { source, remove } = open();
    remove();
    expect(source.listenerCount('SIGTERM') + source.listenerCount('SIGINT')).toBe(0);
  });
});
