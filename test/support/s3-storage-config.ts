import type { S3StorageConfig } from '../../shared/config/config.ts';
import type { S3Bucket } from './start-s3.ts';

/** The smallest part that real servers take. */
export const SMALLEST_PART_BYTES = 5 * 1024 * 1024;

/** A store in the bucket, under a prefix of its own, with thresholds low enough for tests to pass them. */
export function s3StorageConfig(
  server: S3Bucket,
  changes: Partial<S3StorageConfig> = {},
): S3StorageConfig {
  return {
    kind: 's3',
    endpoint: server.endpoint,
    region: server.region,
    bucket: server.bucket,
    prefix: '',
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    partBytes: SMALLEST_PART_BYTES,
    multipartCopyBytes: 2 * SMALLEST_PART_BYTES,
    partsInFlight: 4,
    maxPulls: 64,
    redirect: undefined,
    ...changes,
  };
}
