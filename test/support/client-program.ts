import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import type { MountNamespace } from './mount-namespace.ts';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';
import { makeTempFolder } from './temp-folder.ts';
import type { ToolName } from './tools.ts';

export interface ClientProgram {
  /** Its home: settings that a test writes go there, and relative paths start there. */
  readonly home: string;
  /** Runs the program to its end, whatever its exit code. */
  readonly attempt: (...args: readonly string[]) => Promise<CommandResult>;
  /** Runs it, expects success and answers what it printed, without the spaces around. */
  readonly run: (...args: readonly string[]) => Promise<string>;
}

export interface ClientOptions {
  /** Written before each command's own words. */
  readonly globalFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs; without it, where the test does. */
  readonly namespace?: MountNamespace;
}

/** A client with a home of its own: no credentials and no settings of the person who runs the tests. */
export function clientProgram(name: ToolName, options: ClientOptions = {}): ClientProgram {
  const home = makeTempFolder(name);
  // Podman wants the file there that DOCKER_CONFIG leads to.
  writeFileSync(path.join(home, 'config.json'), '{}');
  const env = {
    PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
    HOME: home,
    DOCKER_CONFIG: home,
    XDG_RUNTIME_DIR: home,
    ...options.env,
  };
  const attempt = (...args: readonly string[]): Promise<CommandResult> => {
    const program = requireTool(name);
    const [command, ...inside] = options.namespace?.enter(program) ?? [program];
    const words = [...inside, ...(options.globalFlags ?? []), ...args];
    return runCommand(command, words, { env, cwd: home });
  };
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await attempt(...args);
    if (code !== 0)
      throw new Error(`${name} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
    return stdout.trim();
  };
  return { home, attempt, run };
}
