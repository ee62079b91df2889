import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

/** A program and its arguments. */
export type CommandLine = readonly [command: string, ...args: string[]];

/** A view of the file system in which host names mean what a test wants. */
export interface MountNamespace {
  /** The command that runs another one inside, as the same process. */
  enter(...command: CommandLine): CommandLine;
  /** Those that run inside are ended before. */
  stop(): Promise<void>;
}

/**
 * Inside, /etc/hosts says that each name is at its address, so that a daemon that knows its registry by name alone
 * meets the test's. Needs root.
 */
export async function startMountNamespace(
  addresses: Readonly<Record<string, string>>,
): Promise<MountNamespace> {
  const folder = makeTempFolder('namespace');
  const hosts = path.join(folder, 'hosts');
  const lines = Object.entries(addresses).map(([name, address]) => `${address} ${name}\n`);
  writeFileSync(hosts, lines.join('') + readFileSync('/etc/hosts', 'utf8'));
  const holder = await startProcess({
    name: 'mount-namespace',
    command: 'unshare',
    args: [
      ...['--mount', '--propagation', 'private', 'sh', '-c'],
      'mount --bind "$0" /etc/hosts && echo entered && exec sleep infinity',
      hosts,
    ],
    isReady: (logs) => logs.includes('entered'),
  });
  return {
    enter: (command, ...args) => [
      'nsenter',
      `--mount=/proc/${holder.pid}/ns/mnt`,
      '--',
      command,
      ...args,
    ],
    stop: async () => {
      await holder.stop();
      await removeTempFolder(folder);
    },
  };
}
