import { createS3Client } from '../../shared/storage/s3/s3-client.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { FilesystemRecordStore } from '../../shared/storage/filesystem/filesystem-record-store.ts';
import type { TwinportOptions } from '../support/registry-process.ts';
import { s3StorageConfig } from '../support/s3-storage-config.ts';

/** Puts other bytes under a key of a store, as rot or other hands would. */
export async function overwriteStored(
  storage: TwinportOptions['storage'],
  key: string,
  bytes: Buffer,
): Promise<void> {
  const unending = new AbortController().signal;
  if ('dataDir' in storage) {
    await new FilesystemRecordStore(storage.dataDir).put(key, bytes, unending);
    return;
  }
  const config = s3StorageConfig(storage);
  const client = createS3Client(config);
  await new S3RecordStore(client, config).put(key, bytes, unending);
  client.destroy();
}
