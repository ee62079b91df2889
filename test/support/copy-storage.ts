import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';

import { CopyObjectCommand, CreateBucketCommand } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';

import { listKeys } from './list-bucket.ts';
import type { TwinportOptions } from './registry-process.ts';
import { createTestS3Client } from './start-s3.ts';
import { makeTempFolder } from './temp-folder.ts';

const COPIES_AT_ONCE = 16;

/** A copy of a store that nobody writes to: another folder, or another bucket on the same server. */
export async function copyStorage(
  storage: TwinportOptions['storage'],
): Promise<TwinportOptions['storage']> {
  if ('dataDir' in storage) {
    const dataDir = makeTempFolder('copy');
    cpSync(storage.dataDir, dataDir, { recursive: true });
    return { dataDir };
  }
  const { endpoint, region, accessKeyId, secretAccessKey } = storage;
  const client = createTestS3Client(storage);
  const bucket = `twinport-copy-${randomBytes(6).toString('hex')}`;
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    const keys = await listKeys(client, storage.bucket, '');
    const limit = pLimit(COPIES_AT_ONCE);
    await Promise.all(
      keys.map((key) =>
        limit(async () => {
          const CopySource = encodeURIComponent(`${storage.bucket}/${key}`);
          await client.send(new CopyObjectCommand({ Bucket: bucket, Key: key, CopySource }));
        }),
      ),
    );
    return { endpoint, region, bucket, accessKeyId, secretAccessKey };
  } finally {
    client.destroy();
  }
}
