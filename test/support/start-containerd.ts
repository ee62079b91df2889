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
  /** Runs crictl against its Kubernetes part, which reads the hosts folder by itself; see ContainerdOptions.kubernetes. */
  crictl(...args: readonly string[]): Promise<CommandResult>;
  /** Fetches the content of an image, through the hosts folder. */
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

/** The service that a Kubernetes node asks. */
const KUBERNETES_PLUGIN = 'io.containerd.grpc.v1.cri';
/** Those that write outside its own folders. */
const DISABLED_PLUGINS = ['io.containerd.nri.v1.nri', 'io.containerd.internal.v1.opt'];

export interface ContainerdOptions {
  /** Where the daemon and its client run; without it, where the test does. */
  readonly namespace?: MountNamespace;
  /** Of an authority that both trust instead of the usual ones. */
  readonly authorityFile?: string;
  /** With its Kubernetes part, as a node has it: for images alone, since there is no network for pods. */
  readonly kubernetes?: true;
}

/** A containerd of its own as root. */
export async function startContainerd(
  version: ContainerdVersion = '1',
  { namespace, authorityFile, kubernetes }: ContainerdOptions = {},
): Promise<ContainerdDaemon> {
  const tools = CONTAINERD_TOOLS[version];
  const folder = makeTempFolder('containerd');
  const hosts = path.join(folder, 'certs.d');
  const socket = path.join(folder, 'containerd.sock');
  const config = path.join(folder, 'config.toml');
  mkdirSync(hosts);
  const disabled =
    kubernetes === true ? DISABLED_PLUGINS : [...DISABLED_PLUGINS, KUBERNETES_PLUGIN];
  writeFileSync(
    config,
    [
      `version = ${version === '2' ? 3 : 2}`,
      `root = ${JSON.stringify(path.join(folder, 'root'))}`,
      `state = ${JSON.stringify(path.join(folder, 'state'))}`,
      `disabled_plugins = ${JSON.stringify(disabled)}`,
      '[grpc]',
      `address = ${JSON.stringify(socket)}`,
      ...(kubernetes === true ? kubernetesSettings(version, hosts) : []),
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
  });
  return {
    hostsFolder: hosts,
    socket,
    ctr,
    crictl: (...args) => {
      const endpoint = `unix://${socket}`;
      const endpoints = ['--runtime-endpoint', endpoint, '--image-endpoint', endpoint];
      // In place of two seconds, which a busy machine needs for more than an answer.
      return runCommand(requireTool('crictl'), [...endpoints, '--timeout=60s', ...args]);
    },
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

/** What a node says about images: where hosts.toml files lie, in the words of each version. */
function kubernetesSettings(version: ContainerdVersion, hosts: string): string[] {
  const folder = `config_path = ${JSON.stringify(hosts)}`;
  if (version === '2') {
    return [
      '[plugins."io.containerd.cri.v1.images"]',
      'snapshotter = "native"',
      '[plugins."io.containerd.cri.v1.images".registry]',
      folder,
    ];
  }
  return [
    `[plugins."${KUBERNETES_PLUGIN}".containerd]`,
    'snapshotter = "native"',
    `[plugins."${KUBERNETES_PLUGIN}".registry]`,
    folder,
  ];
}
