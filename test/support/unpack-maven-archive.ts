import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';

import { EnvHttpProxyAgent, fetch } from 'undici';

import { runSuccessfully } from './run-command.ts';
import type { MavenArchive } from './tools.ts';

const MAVEN_CENTRAL = 'https://repo1.maven.org/maven2';
const DOWNLOAD_MS = 1_200_000;

export interface ArchivePlace {
  readonly folder: string;
  /** Under which the program is found in the folder. */
  readonly name: string;
}

/**
 * Fetches an archive of Maven Central, by the proxies that the environment names, and unpacks it into the folder without its
 * outermost one. Throws before anything is unpacked when the bytes are not those that were pinned.
 */
export async function unpackMavenArchive(
  { path: address, sha256, program }: MavenArchive,
  { folder, name }: ArchivePlace,
): Promise<void> {
  const url = `${MAVEN_CENTRAL}/${address}`;
  const archive = path.join(folder, 'archive.tar.gz');
  const received = await download(url, archive);
  if (received !== sha256) throw new Error(`${url} is not what was pinned: sha256 ${received}`);
  await runSuccessfully('tar', ['-xzf', archive, '-C', folder, '--strip-components=1']);
  await rm(archive);
  await symlink(program, path.join(folder, name));
}

/** Answers the SHA-256 of what it wrote. */
async function download(url: string, file: string): Promise<string> {
  const dispatcher = new EnvHttpProxyAgent();
  try {
    const response = await fetch(url, { dispatcher, signal: AbortSignal.timeout(DOWNLOAD_MS) });
    if (!response.ok || response.body === null) throw new Error(`${url}: ${response.status}`);
    const hash = createHash('sha256');
    await pipeline(
      response.body,
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(file),
    );
    return hash.digest('hex');
  } finally {
    await dispatcher.destroy();
  }
}
