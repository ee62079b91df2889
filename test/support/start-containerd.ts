import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import { type CommandResult, runCommand } from './run-command.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';
import type { ToolName } from './tools.ts';
import { unmountBelow } from './unmount-below.ts';

/** Debian's release, or the newest. */
export type ContainerdVersion = '1' | '2';

export interface ContainerdDaemon {
  /** Where hosts.toml files lie, for `--hosts-dir`. */
  readonly hostsFolder: string;
  /** The path of its socket. */
  readonly socket: string;
  /** Runs ctr against this daemon, to its end, whatever its exit code. */
  ctr(...args: readonly string[]): Promise<CommandResult>;
  /** Fetches an image as a Kubernetes node does: content alone, through the hosts folder. */
  fetch(reference: string): Promise<CommandResult>;
  /** Writes `hosts.toml` for a registry (`docker.io`, `_default`, …), read at each fetch. */
  configureHost(registry: string, hostsToml: string): void;
  stop(): Promise<void>;
}

export const CONTAINERD_TOOLS = {
  '1': { daemon: 'containerd', client: 'ctr' },
  '2': { daemon: 'containerd-2', client: 'ctr-2' },
} as const satisfies Record<ContainerdVersion, Record<'daemon' | 'client', ToolName>>;

/** Its Kubernetes parts, and those that write outside its own folders. */
const DISABLED_PLUGINS = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.nri.v1.nri',
  'io.containerd.internal.v1.opt',
];

/** A containerd of its own as root, without its Kubernetes part. */
export async function startContainerd(version: ContainerdVersion = '1'): Promise<ContainerdDaemon> {
  const tools = CONTAINERD_TOOLS[version];
  const folder = makeTempFolder('containerd');
  const hosts = path.join(folder, 'certs.d');
  const socket = path.join(folder, 'containerd.sock');
  const config = path.join(folder, 'config.toml');
  mkdirSync(hosts);
  writeFileSync(
    config,
    [
      'version = 2',
      `root = ${JSON.stringify(path.join(folder, 'root'))}`,
      `state = ${JSON.stringify(path.join(folder, 'state'))}`,
      `disabled_plugins = ${JSON.stringify(DISABLED_PLUGINS)}`,
      '[grpc]',
      `address = ${JSON.stringify(socket)}`,
      // Without this, the second version unpacks into overlayfs alone, which not every machine has below its folder.
      '[[plugins."io.containerd.transfer.v1.local".unpack_config]]',
      `platform = "linux/${process.arch === 'x64' ? 'amd64' : process.arch}"`,
      'snapshotter = "native"',
    ].join('\n'),
  );
  const ctr = (...args: readonly string[]): Promise<CommandResult> =>
    runCommand(requireTool(tools.client), ['--address', socket, ...args]);
  const shims = path.dirname(requireTool(version === '2' ? 'containerd-2-shim' : tools.daemon));
  const daemon = await startProcess({
    name: 'containerd',
    command: requireTool(tools.daemon),
    args: ['--config', config],
    env: { ...process.env, PATH: `${shims}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
    isReady: async () => (await ctr('version')).code === 0,
    readyTimeoutMs: 60_000,
  });
  return {
    hostsFolder: hosts,
    socket,
    ctr,
    fetch: (reference) => ctr('content', 'fetch', '--hosts-dir', hosts, reference),
    configureHost: (registry, hostsToml) => {
      mkdirSync(path.join(hosts, registry), { recursive: true });
      writeFileSync(path.join(hosts, registry, 'hosts.toml'), hostsToml);
    },
    stop: async () => {
      await daemon.stop();
      unmountBelow(folder);
      await removeTempFolder(folder);
    },
  };
}
