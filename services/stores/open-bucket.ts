import type { S3StorageConfig } from '../../shared/config/config.ts';
import type { StoreFindings } from '../../shared/storage/store-findings.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import { prepareS3, StoreDeniedError } from '../../shared/storage/s3/prepare-s3.ts';
import { probeS3 } from '../../shared/storage/s3/probe-s3.ts';
import { S3BlobLinks } from '../../shared/storage/s3/s3-blob-links.ts';
import { S3BlobStore } from '../../shared/storage/s3/s3-blob-store.ts';
import { createS3Client } from '../../shared/storage/s3/s3-client.ts';
import { S3ExclusiveRecords } from '../../shared/storage/s3/s3-exclusive-records.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { S3UploadStore } from '../../shared/storage/s3/s3-upload-store.ts';
import type { OpenStores, StoreSurroundings } from './opened-stores.ts';

/** Between two attempts to reach a bucket at the start, in milliseconds; doubled each time. */
const RETRY_MS = { first: 500, last: 10_000 };

/** A store in a bucket. */
export function openBucket(config: S3StorageConfig, surroundings: StoreSurroundings): OpenStores {
  const client = createS3Client(config);
  const signer = config.redirect && createS3Client(atPublicEndpoint(config, config.redirect));
  let probing: Promise<StoreFindings> | undefined;
  const probe = (signal: AbortSignal): Promise<StoreFindings> => {
    probing ??= probeS3(client, config, { now: surroundings.clock.now(), signal }).catch(
      (error: unknown) => {
        probing = undefined;
        throw error;
      },
    );
    return probing;
  };
  return {
    records: new S3RecordStore(client, config),
    exclusive: new S3ExclusiveRecords(client, config, { probe }),
    blobs: new S3BlobStore(client, config),
    uploads: new S3UploadStore(client, config),
    links:
      config.redirect && signer && new S3BlobLinks(signer, config, config.redirect.lifeSeconds),
    prepare: (signal) =>
      untilItAnswers(() => prepareS3(client, config, signal), surroundings, signal),
    probe,
    close: () => {
      client.destroy();
      signer?.destroy();
    },
  };
}

const atPublicEndpoint = (
  config: S3StorageConfig,
  redirect: NonNullable<S3StorageConfig['redirect']>,
): S3StorageConfig => ({ ...config, endpoint: redirect.endpoint ?? config.endpoint });

async function untilItAnswers(
  prepare: () => Promise<void>,
  { clock, log }: StoreSurroundings,
  signal: AbortSignal,
): Promise<void> {
  for (let wait = RETRY_MS.first; ; wait = Math.min(wait * 2, RETRY_MS.last)) {
    try {
      await prepare();
      return;
    } catch (error) {
      if (!(error instanceof StorageError) || error instanceof StoreDeniedError) throw error;
      log.warn({ reason: error.message }, 'the store does not answer, it is tried again');
    }
    await clock.sleep(wait, signal);
  }
}
