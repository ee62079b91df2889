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
 * meets the test's; and each of `folders` (a path that exists to the test's own folder) stands in the place of another.
 * Needs root.
 */
export async function startMountNamespace(
  addresses: Readonly<Record<string, string>>,
  folders: Readonly<Record<string, string>> = {},
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
      'while [ $# -gt 0 ]; do mount --bind "$2" "$1" || exit 1; shift 2; done; echo entered; exec sleep infinity',
      ...['sh', '/etc/hosts', hosts, ...Object.entries(folders).flat()],
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
