import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { forgetProcess, noteProcess, runFolder } from './run-folder.ts';
import { waitFor } from './wait-for.ts';

export interface ProcessOptions {
  /** For messages and the log file's name. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the process; without it, this process' own. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Asked until it answers true; what it throws counts as not yet. Without it the process is ready at once. */
  readonly isReady?: (logs: string) => Promise<boolean> | boolean;
  readonly readyTimeoutMs?: number;
  /** What SIGTERM gets before SIGKILL follows. */
  readonly stopTimeoutMs?: number;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly pid: number;
  /** Resolves when the process is gone. */
  readonly ended: Promise<ProcessEnd>;
  isRunning(): boolean;
  /** Everything it printed, or its last `tailBytes`. */
  logs(tailBytes?: number): string;
  /** Sends one signal and returns at once. */
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after the stop time; harmless when it is gone already. */
  stop(): Promise<ProcessEnd>;
}

let started = 0;

/** Starts a process and waits until it is ready; one that ends or is not ready in time fails with the end of its log. */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const running = launch(options);
  const { isReady, readyTimeoutMs = 120_000, name } = options;
  if (isReady === undefined) return running;
  try {
    const outcome = await waitFor(
      async () => {
        if (!running.isRunning()) return 'ended';
        return (await isReady(running.logs())) ? 'ready' : undefined;
      },
      { what: `${name} to be ready`, timeoutMs: readyTimeoutMs },
    );
    if (outcome === 'ended') throw new Error(`${name} ended before it was ready`);
  } catch (error) {
    await running.stop();
    throw new Error(`${name} did not start; its log ends:\n${running.logs(4_000)}`, {
      cause: error,
    });
  }
  return running;
}

function launch(options: ProcessOptions): RunningProcess {
  // The output goes to a file, not a pipe: nothing blocks when nobody reads, and no handle of ours stays open.
  started += 1;
  const fileName = `${options.name.replaceAll(/[^\w.-]/g, '_')}-${process.pid}-${started}.log`;
  const logFile = path.join(runFolder(), 'logs', fileName);
  const output = openSync(logFile, 'a');
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  // A process that a test forgets must not keep jest from ending: the sweep of the run folder ends and names it.
  child.unref();
  const { pid } = child;
  const ended = new Promise<ProcessEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (pid !== undefined) forgetProcess(pid);
      resolve({ code, signal });
    });
  });
  // Whoever awaits `ended` learns of a failed start; a start that nobody awaits must not end the test run.
  ended.catch(() => undefined);
  if (pid !== undefined) noteProcess(pid, options.name);
  const isRunning = (): boolean =>
    pid !== undefined && child.exitCode === null && child.signalCode === null;
  return {
    pid: pid ?? -1,
    ended,
    isRunning,
    logs: (tailBytes) => {
      const text = readFileSync(logFile, 'utf8');
      return tailBytes === undefined ? text : text.slice(-tailBytes);
    },
    signal: (signal) => void child.kill(signal),
    stop: async () => {
      if (!isRunning()) return await ended.catch(() => ({ code: null, signal: null }));
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const patience = new AbortController();
      const killed = delay(options.stopTimeoutMs ?? 10_000, undefined, {
        signal: patience.signal,
      }).then(
        () => void child.kill('SIGKILL'),
        () => undefined,
      );
      const end = await ended;
      patience.abort();
      await killed;
      return end;
    },
  };
}
