import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import { type CommandResult, runCommand } from './run-command.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export interface ContainerdDaemon {
  /** Fetches an image as a Kubernetes node does: content alone, through the hosts folder. */
  fetch(reference: string): Promise<CommandResult>;
  /** Writes `hosts.toml` for a registry (`docker.io`, `_default`, …), read at each fetch. */
  configureHost(registry: string, hostsToml: string): void;
  stop(): Promise<void>;
}

/** A containerd of its own as root, without its Kubernetes part. */
export async function startContainerd(): Promise<ContainerdDaemon> {
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
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      '[grpc]',
      `address = ${JSON.stringify(socket)}`,
    ].join('\n'),
  );
  const ctr = (...args: readonly string[]): Promise<CommandResult> =>
    runCommand(requireTool('ctr'), ['--address', socket, ...args]);
  const daemon = await startProcess({
    name: 'containerd',
    command: requireTool('containerd'),
    args: ['--config', config],
    isReady: async () => (await ctr('version')).code === 0,
    readyTimeoutMs: 60_000,
  });
  return {
    fetch: (reference) => ctr('content', 'fetch', '--hosts-dir', hosts, reference),
    configureHost: (registry, hostsToml) => {
      mkdirSync(path.join(hosts, registry), { recursive: true });
      writeFileSync(path.join(hosts, registry, 'hosts.toml'), hostsToml);
    },
    stop: async () => {
      await daemon.stop();
      await removeTempFolder(folder);
    },
  };
}
