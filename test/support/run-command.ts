import { execFile } from 'node:child_process';

import { isFullRun } from './sizes.ts';

export interface CommandOptions {
  /** The whole environment; without it, this process' own. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that is not done by then hangs; what is a hundred times as large may take longer. */
const DEFAULT_TIMEOUT_MS = { ci: 120_000, full: 1_200_000 };
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Runs a program to its end, whatever its exit code. One that does not end in time is killed and answers code -1. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const {
    env = process.env,
    cwd,
    timeoutMs = DEFAULT_TIMEOUT_MS[isFullRun() ? 'full' : 'ci'],
  } = options;
  return new Promise((resolve) => {
    execFile(
      command,
      args,
      {
        env,
        cwd,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT_BYTES,
        encoding: 'utf8',
      },
      (error, stdout, stderr) => {
        if (error === null) resolve({ code: 0, stdout, stderr });
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
        else resolve({ code: -1, stdout, stderr: `${stderr}${error.message}` });
      },
    );
  });
}

/** As runCommand, for one that must succeed: answers its standard output, throws with everything it printed else. */
export async function runSuccessfully(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await runCommand(command, args, options);
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stdout}\n${stderr}`);
  return stdout;
}
