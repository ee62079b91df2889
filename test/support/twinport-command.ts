import path from 'node:path';

import { storageEnvironment, type TwinportOptions } from './registry-process.ts';
import { type CommandResult, runCommand } from './run-command.ts';

const PROGRAM = path.resolve(import.meta.dirname, '..', '..', 'services', 'twinport.ts');

/** `twinport <words>` on a store, as an operator types it. */
export async function twinport(
  words: string,
  storage: TwinportOptions['storage'],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  return await runCommand(process.execPath, [PROGRAM, ...words.split(' ')], {
    env: { PATH: process.env['PATH'], ...storageEnvironment(storage), ...env },
  });
}
