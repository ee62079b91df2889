import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import type { CommandLine, MountNamespace } from './mount-namespace.ts';
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
  /** Takes away every hosts.toml. */
  forgetHosts(): void;
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

export interface ContainerdOptions {
  /** Where the daemon and its client run; without it, where the test does. */
  readonly namespace?: MountNamespace;
  /** Of an authority that both trust instead of the usual ones. */
  readonly authorityFile?: string;
}

/** A containerd of its own as root, without its Kubernetes part. */
export async function startContainerd(
  version: ContainerdVersion = '1',
  { namespace, authorityFile }: ContainerdOptions = {},
): Promise<ContainerdDaemon> {
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
  const trust = authorityFile === undefined ? {} : { SSL_CERT_FILE: authorityFile };
  const inside = (program: string): CommandLine => namespace?.enter(program) ?? [program];
  const ctr = (...args: readonly string[]): Promise<CommandResult> => {
    const [command, ...words] = inside(requireTool(tools.client));
    const env = { ...process.env, ...trust };
    return runCommand(command, [...words, '--address', socket, ...args], { env });
  };
  const shims = path.dirname(requireTool(version === '2' ? 'containerd-2-shim' : tools.daemon));
  const [command, ...words] = inside(requireTool(tools.daemon));
  const daemon = await startProcess({
    name: 'containerd',
    command,
    args: [...words, '--config', config],
    env: {
      ...process.env,
      ...trust,
      PATH: `${shims}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`,
    },
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
    forgetHosts: () => {
      rmSync(hosts, { recursive: true, force: true });
      mkdirSync(hosts);
    },
    stop: async () => {
      await daemon.stop();
      unmountBelow(folder);
      await removeTempFolder(folder);
    },
  };
}
