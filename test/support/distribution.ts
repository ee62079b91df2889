import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import { freePort } from './free-port.ts';
import type { TwinportOptions } from './registry-process.ts';
import { type CommandResult, runCommand } from './run-command.ts';
import { s3DriverSettings } from './s3-driver-settings.ts';
import { type RunningProcess, startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

type Storage = TwinportOptions['storage'];

export interface DistributionOptions {
  /** Makes it a pull-through cache of the registry at this URL. */
  readonly proxyOf?: string;
}

export interface DistributionRegistry {
  readonly url: string;
  stop(): Promise<void>;
}

/** The CNCF distribution registry, version 3, over a store that it has for itself or shares. */
export async function startDistribution(
  storage: Storage,
  options: DistributionOptions = {},
): Promise<DistributionRegistry> {
  const folder = makeTempFolder('distribution');
  const port = await freePort();
  const running = await runDistribution(storage, folder, port, options);
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      await running.stop();
      await removeTempFolder(folder);
    },
  };
}

/** `folder`: for its configuration file. */
export async function runDistribution(
  storage: Storage,
  folder: string,
  port: number,
  options: DistributionOptions = {},
): Promise<RunningProcess> {
  return await startProcess({
    name: 'registry',
    command: requireTool('registry'),
    args: ['serve', writeConfig(storage, folder, port, options)],
    env: environment(folder),
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/v2/`)).status === 200,
  });
}

/** `registry garbage-collect` on a store that nobody else uses meanwhile. */
export async function collectGarbage(
  storage: Storage,
  ...flags: readonly string[]
): Promise<CommandResult> {
  const folder = makeTempFolder('distribution');
  const config = writeConfig(storage, folder, 0);
  const args = ['garbage-collect', ...flags, config];
  const result = await runCommand(requireTool('registry'), args, { env: environment(folder) });
  await removeTempFolder(folder);
  return result;
}

const environment = (folder: string): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  HOME: folder,
  OTEL_TRACES_EXPORTER: 'none',
});

function writeConfig(
  storage: Storage,
  folder: string,
  port: number,
  { proxyOf }: DistributionOptions = {},
): string {
  const file = path.join(folder, `config-${port}.yml`);
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { ...driver(storage), delete: { enabled: true }, redirect: { disable: true } },
    http: { addr: `127.0.0.1:${port}` },
    ...(proxyOf !== undefined && { proxy: { remoteurl: proxyOf } }),
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  return file;
}

function driver(storage: Storage): object {
  if ('dataDir' in storage) return { filesystem: { rootdirectory: storage.dataDir } };
  return { s3: s3DriverSettings(storage) };
}
