import { EventEmitter } from 'node:events';

import type { Command } from '../command.ts';
import { COMMANDS } from '../commands.ts';
import { runCommandLine } from '../run-command-line.ts';

export interface InProcessOptions {
  readonly env: Readonly<Record<string, string>>;
  /** What every file that the command reads holds. */
  readonly input?: string;
  readonly commands?: readonly Command[];
  readonly signals?: EventEmitter;
}

export interface InProcessEnd {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
  /** Both, line by line as they were printed. */
  readonly text: string;
}

/** `twinport <args>` in this process: many commands cost no more than their work. Rejects when it does not exit once. */
export async function runInProcess(
  args: readonly string[],
  { env, input = '', commands = COMMANDS, signals = new EventEmitter() }: InProcessOptions,
): Promise<InProcessEnd> {
  const lines: { readonly text: string; readonly isError: boolean }[] = [];
  const codes: number[] = [];
  await runCommandLine(
    {
      args,
      env,
      signals,
      readFile: () => input,
      print: (text) => lines.push({ text, isError: false }),
      printError: (text) => lines.push({ text, isError: true }),
      exit: (code) => codes.push(code),
    },
    commands,
  );
  const [code] = codes;
  if (code === undefined || codes.length > 1) {
    throw new Error(`twinport ${args.join(' ')} exited ${codes.length} times`);
  }
  const joined = (some: typeof lines): string => some.map(({ text }) => text).join('\n');
  return {
    code,
    out: joined(lines.filter(({ isError }) => !isError)),
    errors: joined(lines.filter(({ isError }) => isError)),
    text: joined(lines),
  };
}
