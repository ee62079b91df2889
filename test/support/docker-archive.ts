import { createHash } from 'node:crypto';
import { createReadStream, linkSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';

import { runSuccessfully } from './run-command.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export interface ArchivedImage {
  /** With its tag, for example `demo/hello:1`. */
  readonly name: string;
  /** Tars that together are the root file system, the lowest first. */
  readonly layers: readonly string[];
  readonly entrypoint?: readonly string[];
}

/** Writes what `docker save` writes, without a docker. */
export async function writeDockerArchive(image: ArchivedImage, file: string): Promise<void> {
  const folder = makeTempFolder('archive');
  try {
    const digests: string[] = [];
    for (const layer of image.layers) {
      const digest = await sha256OfFile(layer);
      await placeFile(layer, path.join(folder, `${digest}.tar`));
      digests.push(digest);
    }
    const layerFiles = digests.map((digest) => `${digest}.tar`);
    const config = JSON.stringify({
      architecture: arch() === 'x64' ? 'amd64' : arch(),
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        ...(image.entrypoint === undefined ? {} : { Entrypoint: image.entrypoint }),
      },
      rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
    });
    const configFile = `${createHash('sha256').update(config).digest('hex')}.json`;
    const manifest = [{ Config: configFile, RepoTags: [image.name], Layers: layerFiles }];
    writeFileSync(path.join(folder, configFile), config);
    writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(manifest));
    const members = ['manifest.json', configFile, ...layerFiles];
    await runSuccessfully('tar', ['-cf', file, '-C', folder, ...members]);
  } finally {
    await removeTempFolder(folder);
  }
}

/** A tar of one folder in which everything belongs to root. */
export async function writeLayer(folder: string, file: string): Promise<void> {
  const owner = ['--owner=0', '--group=0', '--numeric-owner'];
  await runSuccessfully('tar', [...owner, '-cf', file, '-C', folder, '.']);
}

async function placeFile(from: string, to: string): Promise<void> {
  try {
    linkSync(from, to);
  } catch {
    // Another file system.
    await runSuccessfully('cp', [from, to]);
  }
}

async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
