import { type AuditOptions, auditStore } from '../../shared/storage/testing/audit-store.ts';
import { FilesystemBlobStore } from '../../shared/storage/filesystem/filesystem-blob-store.ts';
import { FilesystemRecordStore } from '../../shared/storage/filesystem/filesystem-record-store.ts';
import { S3BlobStore } from '../../shared/storage/s3/s3-blob-store.ts';
import { createS3Client } from '../../shared/storage/s3/s3-client.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import type { TwinportOptions } from '../support/registry-process.ts';

/** A store that a test made, and how it goes away. */
export interface TestStorage {
  readonly storage: TwinportOptions['storage'];
  close(): Promise<void>;
}

/** What the auditor finds in a store that processes under test write to: one sentence for each violation. */
export async function auditTestStore(
  storage: TwinportOptions['storage'],
  options?: AuditOptions,
): Promise<string[]> {
  if ('dataDir' in storage) {
    const { dataDir } = storage;
    return auditStore(
      new FilesystemRecordStore(dataDir),
      new FilesystemBlobStore(dataDir),
      options,
    );
  }
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = storage;
  const config = {
    kind: 's3',
    endpoint,
    region,
    bucket,
    prefix: '',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    partBytes: 10 * 1024 * 1024,
    multipartCopyBytes: 1024 * 1024 * 1024,
    partsInFlight: 4,
    maxPulls: 64,
    redirect: undefined,
  } as const;
  const client = createS3Client(config);
  try {
    return await auditStore(
      new S3RecordStore(client, config),
      new S3BlobStore(client, config),
      options,
    );
  } finally {
    client.destroy();
  }
}
