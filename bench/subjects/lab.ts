import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';

import { DeleteObjectsCommand } from '@aws-sdk/client-s3';

import { makeTempFolder, removeTempFolder } from '../../test/support/temp-folder.ts';
import { startRedis, type RedisServer } from '../../test/support/start-redis.ts';
import { createTestS3Client, startMinio, type S3Server } from '../../test/support/start-s3.ts';
import type { Seed } from '../seed/content.ts';
import { imageLayouts, registryLayout } from '../seed/layouts.ts';
import { writeFiles, writeObjects } from '../seed/write-seed.ts';
import type { StoreKind, SubjectName } from './subject.ts';

/** zot's objects stand in a folder of their own in the same bucket; it puts its root before every key twice. */
export const ZOT_ROOT = '/zot';
export const ZOT_PREFIX = 'zot/zot';

/**
 * The stores of one run: a folder and a bucket, each filled once. Twinport and the CNCF registry serve the very same
 * one, since they keep the same layout; zot has its own layout beside it, with the same content.
 */
export interface Lab {
  readonly registryFolder: string;
  readonly zotFolder: string;
  readonly scratch: string;
  /** Present when a bucket is among the stores of the run. */
  readonly minio: S3Server | undefined;
  readonly redis: RedisServer | undefined;
  removeFiles(root: string, keys: readonly string[]): void;
  removeObjects(keys: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface LabOptions {
  readonly seed: Seed;
  readonly stores: readonly StoreKind[];
  readonly subjects: readonly SubjectName[];
  readonly print: (line: string) => void;
}

/** Starts what the registries stand on and fills it. */
export async function openLab({ seed, stores, subjects, print }: LabOptions): Promise<Lab> {
  const root = makeTempFolder('bench');
  const folders = {
    registryFolder: path.join(root, 'registry'),
    zotFolder: path.join(root, 'zot'),
    scratch: path.join(root, 'scratch'),
  };
  for (const folder of Object.values(folders)) mkdirSync(folder);
  const isOnS3 = stores.includes('s3');
  const minio = isOnS3 ? await startMinio({ own: true }) : undefined;
  const redis = isOnS3 ? await startRedis({ own: true }) : undefined;
  const hasZot = subjects.includes('zot');
  const fill = async (what: string, work: () => Promise<void>): Promise<void> => {
    const startedAt = performance.now();
    await work();
    print(`filled ${what} in ${Math.round((performance.now() - startedAt) / 1000)} s`);
  };
  if (stores.includes('files')) {
    await fill('the folder', () => writeFiles(folders.registryFolder, registryLayout(seed)));
    if (hasZot) await fill("zot's folder", () => writeFiles(folders.zotFolder, imageLayouts(seed)));
  }
  if (minio) {
    await fill('the bucket', () => writeObjects(minio, '', registryLayout(seed)));
    if (hasZot) {
      await fill("zot's part", () => writeObjects(minio, `${ZOT_PREFIX}/`, imageLayouts(seed)));
    }
  }
  return {
    ...folders,
    minio,
    redis,
    removeFiles: (folder, keys) => {
      for (const key of keys) rmSync(path.join(folder, key), { force: true });
    },
    removeObjects: async (keys) => {
      if (!minio || keys.length === 0) return;
      const client = createTestS3Client(minio);
      const Objects = keys.map((Key) => ({ Key }));
      await client.send(
        new DeleteObjectsCommand({ Bucket: minio.bucket, Delete: { Objects, Quiet: true } }),
      );
      client.destroy();
    },
    close: async () => {
      await redis?.stop();
      await minio?.stop();
      await removeTempFolder(root);
    },
  };
}
