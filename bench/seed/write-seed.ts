import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { PutObjectCommand } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';

import { createTestS3Client, type S3Bucket } from '../../test/support/start-s3.ts';
import type { SeedEntry } from './layouts.ts';

const AT_ONCE = 32;
/** So many entries are taken from the layout before those under way are waited for. */
const BATCH = 2_000;

/** Writes the entries as files below a folder. */
export async function writeFiles(root: string, entries: Iterable<SeedEntry>): Promise<void> {
  await inBatches(entries, async ({ key, bytes }) => {
    const file = path.join(root, key);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
  });
}

/** Writes the entries as objects of a bucket, all keys below `prefix`. */
export async function writeObjects(
  bucket: S3Bucket,
  prefix: string,
  entries: Iterable<SeedEntry>,
): Promise<void> {
  const client = createTestS3Client(bucket);
  try {
    await inBatches(entries, async ({ key, bytes }) => {
      const command = { Bucket: bucket.bucket, Key: `${prefix}${key}`, Body: bytes };
      await client.send(new PutObjectCommand(command));
    });
  } finally {
    client.destroy();
  }
}

async function inBatches(
  entries: Iterable<SeedEntry>,
  write: (entry: SeedEntry) => Promise<void>,
): Promise<void> {
  const limit = pLimit(AT_ONCE);
  let batch: Promise<void>[] = [];
  for (const entry of entries) {
    batch.push(limit(() => write(entry)));
    if (batch.length < BATCH) continue;
    await Promise.all(batch);
    batch = [];
  }
  await Promise.all(batch);
}
