import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { BlobLinks } from '../../shared/storage/blob-links.ts';
import type { BlobStore } from '../../shared/storage/blob-store.ts';
import type { ExclusiveRecords } from '../../shared/storage/exclusive-records.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import type { StoreFindings } from '../../shared/storage/store-findings.ts';
import type { UploadReaper, UploadStore } from '../../shared/storage/upload-store.ts';

/** The store behind its ports. Nothing is touched before `prepare`. */
export interface OpenStores {
  readonly records: RecordStore;
  readonly exclusive: ExclusiveRecords;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore & UploadReaper;
  /** Set when clients are to be sent to the store for blobs. */
  readonly links: BlobLinks | undefined;
  /**
   * Resolves when the store can be used. A folder that cannot be used is a StorageError at once; a bucket that does
   * not answer is waited for, since an orchestrator starts things in any order.
   */
  prepare(signal: AbortSignal): Promise<void>;
  /** Finds out what the store guarantees, once it is prepared. Rejects with a StorageError. */
  readonly probe: (signal: AbortSignal) => Promise<StoreFindings>;
  close(): void;
}

export interface StoreSurroundings {
  readonly clock: Clock;
  readonly log: Log;
}
