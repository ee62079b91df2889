import { ListObjectsV2Command } from '@aws-sdk/client-s3';

import type { S3StorageConfig } from '../../config/config.ts';
import { StorageError } from '../errors.ts';
import { S3Bucket } from './s3-bucket.ts';
import type { StoreClient } from './s3-client.ts';
import type { S3Deadlines } from './s3-deadlines.ts';
import { isBucketMissing, isRefused, S3StorageError } from './s3-errors.ts';

/** The store refuses these keys: waiting does not help, a person has to grant the rights or correct the keys. */
export class StoreDeniedError extends S3StorageError {
  override readonly name = 'StoreDeniedError';
}

/**
 * Makes sure that the bucket is there and lets us list it. Throws a StorageError that names bucket and endpoint,
 * StoreDeniedError when the keys are refused; it creates nothing.
 */
export async function prepareS3(
  client: StoreClient,
  config: S3StorageConfig,
  signal: AbortSignal,
  deadlines?: S3Deadlines,
): Promise<void> {
  const operation = 'store.prepare';
  const where = `the bucket ${config.bucket} at ${config.endpoint ?? `AWS ${config.region}`}`;
  const bucket = new S3Bucket(client, config, deadlines);
  const command = new ListObjectsV2Command({
    Bucket: config.bucket,
    Prefix: bucket.rootPrefix,
    MaxKeys: 1,
  });
  try {
    await bucket.tell({ operation, key: config.bucket, signal }, (options) =>
      client.send(command, options),
    );
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    if (isBucketMissing(error.cause)) {
      throw new S3StorageError(operation, `${where} does not exist; create it first`, false, error);
    }
    if (isRefused(error)) {
      const reason = error.cause instanceof Error ? error.cause.name : 'denied';
      const message = `${where} cannot be used with these keys (${reason}): they need the right to list it, and to read, write and delete its objects`;
      throw new StoreDeniedError(operation, message, false, error);
    }
    throw new S3StorageError(operation, `${where} cannot be used: ${error.message}`, true, error);
  }
}
