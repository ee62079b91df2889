/** An immediate child of a folder of keys. */
export interface RecordChild {
  readonly name: string;
  readonly isFolder: boolean;
}

export interface ListOptions {
  /** Stop after about this many children; without it all are returned. */
  readonly limit?: number;
  /**
   * Only children whose names come after this one, and with `limit` the first of them. For folders that hold records
   * alone: a name that is a folder may be passed over.
   */
  readonly after?: string;
}

/**
 * Small objects under keys: links, markers, JSON records. Keys are made in object-keys.ts alone, relative to the root
 * of the store, `/`-separated, without a leading or trailing slash. Every method throws StorageError when the store
 * cannot answer within its deadline and ends when `signal` aborts.
 */
export interface RecordStore {
  /** The bytes, or undefined when there is no such record. At most 4 MiB are read; more is a StorageError. */
  get(key: string, signal: AbortSignal): Promise<Buffer | undefined>;
  /** When the record was last put, by the clock of the store; undefined when there is none. */
  modifiedAt(key: string, signal: AbortSignal): Promise<Date | undefined>;
  /** Atomic and durable before it resolves; replaces what was there. */
  put(key: string, bytes: Buffer, signal: AbortSignal): Promise<void>;
  /** Idempotent: a missing record is no error. */
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** Removes every record below the folder, and on files the folder itself. Idempotent; not atomic. */
  deleteTree(folder: string, signal: AbortSignal): Promise<void>;
  /**
   * The immediate children of a folder, sorted by the bytes of their names, each once; a name that is both a record
   * and a folder is given as a folder. Temporary files never show. A missing folder is empty.
   */
  list(folder: string, options: ListOptions, signal: AbortSignal): Promise<RecordChild[]>;
}
