/** The store could not do what it was asked (unreachable, refused, full, timed out). Absence is never an error. */
export class StorageError extends Error {
  override readonly name: string = 'StorageError';
  readonly operation: string;

  constructor(operation: string, message: string, cause?: unknown) {
    super(`${operation}: ${message}`, { cause });
    this.operation = operation;
  }
}

/** The bytes given do not have the digest they were given under; nothing became visible. */
export class DigestMismatchError extends Error {
  override readonly name = 'DigestMismatchError';
}

/** The bytes given are fewer or more than announced; nothing became visible. */
export class SizeMismatchError extends Error {
  override readonly name = 'SizeMismatchError';
}

/** No byte of the asked range exists. */
export class RangeNotSatisfiableError extends Error {
  override readonly name = 'RangeNotSatisfiableError';
  readonly totalBytes: number;

  constructor(totalBytes: number) {
    super(`range not satisfiable, the content has ${totalBytes} bytes`);
    this.totalBytes = totalBytes;
  }
}

/** A chunk does not begin where the upload session stands. */
export class UploadOffsetError extends Error {
  override readonly name = 'UploadOffsetError';
  /** Where the session really stands, in bytes. */
  readonly offset: number;

  constructor(offset: number) {
    super(`the upload session stands at byte ${offset}`);
    this.offset = offset;
  }
}

/**
 * The upload session is finished, cancelled or was never there. Callers look with `find` first; this is the answer to
 * those who lost a race. (A StorageError, so that whoever does not know it answers 503 and the client asks again.)
 */
export class UploadUnknownError extends StorageError {
  override readonly name = 'UploadUnknownError';
}
