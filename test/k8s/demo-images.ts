import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { makeDebianRoot } from '../support/debian-root.ts';
import { writeDockerArchive, writeLayer } from '../support/docker-archive.ts';
import { requireTool } from '../support/find-tool.ts';
import { buildTwinportImage, startBuildDaemon } from '../support/twinport-image.ts';

/** An image as a file, in the form of `docker save`. */
export interface ImageFile {
  readonly name: string;
  readonly file: string;
}

/** Where the S3 server stands in its image, here as in the one of its makers. */
export const S3_PROGRAM = '/usr/local/bin/versitygw';

/** The image of this tree. */
export async function makeTwinportImage(folder: string): Promise<ImageFile> {
  const image = { name: 'twinport.test/twinport:test', file: path.join(folder, 'twinport.tar') };
  const daemon = await startBuildDaemon();
  try {
    await buildTwinportImage(daemon, image.name);
    await daemon.succeed('save', '--output', image.file, image.name);
  } finally {
    await daemon.stop();
  }
  return image;
}

/** Debian's Redis with what it needs and nothing else. */
export async function makeRedisImage(folder: string): Promise<ImageFile> {
  const image = { name: 'twinport.test/redis:test', file: path.join(folder, 'redis.tar') };
  const packages = ['redis-server'];
  const layers = [await makeDebianRoot({ name: 'redis', variant: 'extract', packages })];
  await writeDockerArchive({ name: image.name, layers }, image.file);
  return image;
}

/** The S3 server and, because it may have been built to need one, a C library. */
export async function makeS3Image(folder: string): Promise<ImageFile> {
  const image = { name: 'twinport.test/versitygw:test', file: path.join(folder, 's3.tar') };
  await writeProgramImage(image, path.join(folder, 's3'));
  return image;
}

/** An image that no node has: a program, and a file that makes its layer a new one. */
export async function makeUnknownImage(folder: string): Promise<ImageFile> {
  const image = { name: 'twinport.test/unknown:test', file: path.join(folder, 'unknown.tar') };
  const root = path.join(folder, 'unknown');
  mkdirSync(root);
  writeFileSync(path.join(root, 'never-seen'), randomBytes(32));
  await writeProgramImage(image, root);
  return image;
}

async function writeProgramImage({ name, file }: ImageFile, root: string): Promise<void> {
  const program = path.join(root, S3_PROGRAM);
  mkdirSync(path.dirname(program), { recursive: true });
  cpSync(requireTool('versitygw'), program, { dereference: true });
  const layer = `${root}-layer.tar`;
  await writeLayer(root, layer);
  const library = await makeDebianRoot({ name: 'run', variant: 'extract', packages: ['libc6'] });
  await writeDockerArchive({ name, layers: [library, layer], entrypoint: [S3_PROGRAM] }, file);
}
