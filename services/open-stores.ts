import type { S3StorageConfig, StorageConfig } from '../shared/config/config.ts';
import type { Clock } from '../shared/lifecycle/clock.ts';
import type { Log } from '../shared/observability/observer.ts';
import type { BlobLinks } from '../shared/storage/blob-links.ts';
import type { BlobStore } from '../shared/storage/blob-store.ts';
import { StorageError } from '../shared/storage/errors.ts';
import { FilesystemBlobStore } from '../shared/storage/filesystem/filesystem-blob-store.ts';
import { FilesystemRecordStore } from '../shared/storage/filesystem/filesystem-record-store.ts';
import { FilesystemUploadStore } from '../shared/storage/filesystem/filesystem-upload-store.ts';
import type { RecordStore } from '../shared/storage/record-store.ts';
import { prepareS3 } from '../shared/storage/s3/prepare-s3.ts';
import { S3BlobLinks } from '../shared/storage/s3/s3-blob-links.ts';
import { S3BlobStore } from '../shared/storage/s3/s3-blob-store.ts';
import { createS3Client } from '../shared/storage/s3/s3-client.ts';
import { S3RecordStore } from '../shared/storage/s3/s3-record-store.ts';
import { S3UploadStore } from '../shared/storage/s3/s3-upload-store.ts';
import type { UploadReaper, UploadStore } from '../shared/storage/upload-store.ts';

/** The store behind its ports. Nothing is touched before `prepare`. */
export interface OpenStores {
  readonly records: RecordStore;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore & UploadReaper;
  /** Set when clients are to be sent to the store for blobs. */
  readonly links: BlobLinks | undefined;
  /**
   * Resolves when the store can be used. A folder that cannot be used is a StorageError at once; a bucket that does
   * not answer is waited for, since an orchestrator starts things in any order.
   */
  prepare(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Between two attempts to reach a bucket at the start, in milliseconds; doubled each time. */
const RETRY_MS = { first: 500, last: 10_000 };

interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
}

/** Opens the store that the configuration names. */
export function openStores(config: StorageConfig, surroundings: Surroundings): OpenStores {
  const { clock, log } = surroundings;
  if (config.kind === 'filesystem') {
    const records = new FilesystemRecordStore(config.dataDir);
    return {
      records,
      blobs: new FilesystemBlobStore(config.dataDir),
      uploads: new FilesystemUploadStore(config.dataDir, clock),
      links: undefined,
      prepare: async (signal) => {
        warnOfTraits(await records.prepare(signal), config.dataDir, log);
      },
      close: () => undefined,
    };
  }
  const client = createS3Client(config);
  const signer = config.redirect && createS3Client(atPublicEndpoint(config, config.redirect));
  return {
    records: new S3RecordStore(client, config),
    blobs: new S3BlobStore(client, config),
    uploads: new S3UploadStore(client, config),
    links:
      config.redirect && signer && new S3BlobLinks(signer, config, config.redirect.lifeSeconds),
    prepare: (signal) =>
      untilItAnswers(() => prepareS3(client, config, signal), surroundings, signal),
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

interface Traits {
  readonly isCaseSensitive: boolean;
  readonly supportsFsync: boolean;
}

function warnOfTraits(traits: Traits, dataDir: string, log: Log): void {
  if (!traits.isCaseSensitive) {
    log.warn({ dataDir }, 'two tags that differ in case alone are one on this file system');
  }
  if (!traits.supportsFsync) {
    log.warn({ dataDir }, 'a power failure may lose the last pushes on this file system');
  }
}

async function untilItAnswers(
  prepare: () => Promise<void>,
  { clock, log }: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  for (let wait = RETRY_MS.first; ; wait = Math.min(wait * 2, RETRY_MS.last)) {
    try {
      await prepare();
      return;
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      log.warn({ reason: error.message }, 'the store does not answer, it is tried again');
    }
    await clock.sleep(wait, signal);
  }
}
