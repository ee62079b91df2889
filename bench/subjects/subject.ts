export type SubjectName = 'twinport' | 'distribution' | 'zot';
export type StoreKind = 'files' | 's3';

/** A registry under measurement, running and filled with the seed. */
export interface Subject {
  readonly name: SubjectName;
  readonly store: StoreKind;
  readonly url: string;
  /** The registry's own process; its children count as it. */
  readonly pid: number;
  /** What it leans on: MinIO, Redis. */
  readonly backingPids: readonly number[];
  /** Removes the bytes of pushed blobs from the store behind the registry's back, so that no disk fills. */
  forget(repository: string, digests: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}
