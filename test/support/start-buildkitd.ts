import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import type { MountNamespace } from './mount-namespace.ts';
import { runCommand, runSuccessfully } from './run-command.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';
import { unmountBelow } from './unmount-below.ts';

export interface BuildkitDaemon {
  /** Runs buildctl, expects success and answers everything it printed, its progress among it. */
  buildctl(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

export interface BuildkitOptions {
  /** What pulls from a registry are tried at first, as `host[/path]`. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>;
  /** Where the daemon runs; without it, where the test does. */
  readonly namespace?: MountNamespace;
}

/** A BuildKit daemon of its own as root that speaks plain http to the given registries. */
export async function startBuildkitd(
  plainHosts: readonly string[],
  { mirrors = {}, namespace }: BuildkitOptions = {},
): Promise<BuildkitDaemon> {
  const folder = makeTempFolder('buildkitd');
  const address = `unix://${path.join(folder, 'buildkitd.sock')}`;
  const config = path.join(folder, 'buildkitd.toml');
  const home = path.join(folder, 'home');
  mkdirSync(home);
  const plain = plainHosts.flatMap((host) => [`[registry."${host}"]`, 'http = true']);
  const mirrored = Object.entries(mirrors).flatMap(([registry, hosts]) => [
    `[registry."${registry}"]`,
    `mirrors = ${JSON.stringify(hosts)}`,
  ]);
  writeFileSync(config, [...plain, ...mirrored].join('\n'));
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, HOME: home };
  const buildctl = requireTool('buildctl');
  const program = requireTool('buildkitd');
  const [command, ...words] = namespace?.enter(program) ?? [program];
  const daemon = await startProcess({
    name: 'buildkitd',
    command,
    args: [
      ...words,
      `--config=${config}`,
      `--root=${path.join(folder, 'root')}`,
      `--addr=${address}`,
      `--otel-socket-path=${path.join(folder, 'otel.sock')}`,
      '--containerd-worker=false',
      '--oci-worker-snapshotter=native',
      '--oci-worker-net=host',
    ],
    env,
    isReady: async () =>
      (await runCommand(buildctl, ['--addr', address, 'debug', 'workers'], { env })).code === 0,
  });
  return {
    buildctl: async (...args) => {
      const words = ['-c', 'exec "$@" 2>&1', 'sh', buildctl, '--addr', address, ...args];
      return await runSuccessfully('/bin/sh', words, { env, cwd: home });
    },
    stop: async () => {
      await daemon.stop();
      unmountBelow(folder);
      await removeTempFolder(folder);
    },
  };
}
