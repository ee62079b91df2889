import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import type { MountNamespace } from './mount-namespace.ts';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';
import { forgetProcess, noteProcess } from './run-folder.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';
import type { ToolName } from './tools.ts';
import { unmountBelow } from './unmount-below.ts';
import { waitFor } from './wait-for.ts';

/** Debian's, whose images lie in graph drivers, or the newest, whose images lie in containerd. */
export type DockerEngine = '20' | '29';

/** What a daemon of either engine is made of. */
export const DOCKER_TOOLS = {
  '20': ['dockerd', 'docker'],
  '29': ['dockerd-29', 'containerd-2', 'containerd-2-shim', 'docker'],
} as const satisfies Record<DockerEngine, readonly ToolName[]>;

export interface DockerdOptions {
  /** Without it, Debian's. */
  readonly engine?: DockerEngine;
  /** More flags of the daemon, for example ['--registry-mirror=http://127.0.0.1:5001']. */
  readonly flags?: readonly string[];
  /** For the commands of tests that build larger images. */
  readonly commandTimeoutMs?: number;
  /** Where the daemon runs; without it, where the test does. */
  readonly namespace?: MountNamespace;
  /** Of an authority that it trusts beside its own. */
  readonly authorityFile?: string;
}

export interface DockerDaemon {
  /** Runs the docker command against this daemon, to its end, whatever its exit code. */
  docker(...args: readonly string[]): Promise<CommandResult>;
  /** As docker, for a command that must succeed; answers its standard output. */
  succeed(...args: readonly string[]): Promise<string>;
  logs(tailBytes?: number): string;
  stop(): Promise<void>;
}

/**
 * A docker daemon of its own as root: own data, sockets and containerd, no network setup, no storage driver that needs
 * the kernel's help. Images are pulled, built FROM scratch and pushed; containers with a network are not its business.
 */
export async function startDockerd(options: DockerdOptions = {}): Promise<DockerDaemon> {
  const [program, ...parts] = DOCKER_TOOLS[options.engine ?? '20'];
  const folder = makeTempFolder('dockerd');
  const socket = `unix://${path.join(folder, 'docker.sock')}`;
  const home = path.join(folder, 'home');
  mkdirSync(home);
  const usesContainerd = options.engine === '29';
  const settings = usesContainerd ? { features: { 'containerd-snapshotter': true } } : {};
  writeFileSync(path.join(folder, 'daemon.json'), JSON.stringify(settings));
  const folders = parts.map((part) => path.dirname(requireTool(part)));
  const env = {
    PATH: `${folders.join(':')}:/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`,
    // Debian's command speaks an API older than the newest daemon's usual minimum.
    DOCKER_MIN_API_VERSION: '1.24',
    HOME: home,
    DOCKER_HOST: socket,
    DOCKER_CONFIG: path.join(home, '.docker'),
    DOCKER_BUILDKIT: '0',
  };
  const docker = (...args: readonly string[]): Promise<CommandResult> =>
    runCommand(requireTool('docker'), args, {
      env,
      ...(options.commandTimeoutMs !== undefined && { timeoutMs: options.commandTimeoutMs }),
    });
  const { namespace, authorityFile } = options;
  const [command, ...args] = namespace?.enter(requireTool(program)) ?? [requireTool(program)];
  const daemon = await startProcess({
    name: 'dockerd',
    command,
    args: [
      ...args,
      ...daemonFlags(folder, socket),
      `--storage-driver=${usesContainerd ? 'native' : 'vfs'}`,
      ...(options.flags ?? []),
    ],
    env: { ...env, ...(authorityFile === undefined ? {} : { SSL_CERT_FILE: authorityFile }) },
    isReady: async () => (await docker('info')).code === 0,
    stopTimeoutMs: 20_000,
  });
  const containerd = noteContainerd(folder);
  return {
    docker,
    succeed: async (...args) => {
      const result = await docker(...args);
      if (result.code === 0) return result.stdout;
      throw new Error(
        `docker ${args.join(' ')} ended with ${result.code}:\n${result.stdout}${result.stderr}`,
      );
    },
    logs: (tailBytes) => daemon.logs(tailBytes),
    stop: async () => {
      await daemon.stop();
      if (containerd !== undefined) await endContainerd(containerd);
      unmountBelow(folder);
      await removeTempFolder(folder);
    },
  };
}

function daemonFlags(folder: string, socket: string): string[] {
  return [
    `--host=${socket}`,
    `--data-root=${path.join(folder, 'data')}`,
    `--exec-root=${path.join(folder, 'exec')}`,
    `--pidfile=${path.join(folder, 'docker.pid')}`,
    `--config-file=${path.join(folder, 'daemon.json')}`,
    '--iptables=false',
    '--ip6tables=false',
    '--bridge=none',
  ];
}

/** Containerd is the daemon's child, not ours: noted, so that it is swept when the daemon was killed. */
function noteContainerd(folder: string): number | undefined {
  const file = path.join(folder, 'exec', 'containerd', 'containerd.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8'));
  noteProcess(pid, 'containerd');
  return pid;
}

async function endContainerd(pid: number): Promise<void> {
  const isContainerd = async (): Promise<boolean> =>
    existsSync(`/proc/${pid}`) &&
    (await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === 'containerd';
  if (await isContainerd()) process.kill(pid, 'SIGKILL');
  await waitFor(async () => !(await isContainerd()), { what: `containerd ${pid} to end` });
  forgetProcess(pid);
}
