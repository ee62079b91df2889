import { StorageError } from '../errors.ts';

/**
 * What S3-compatible servers call an object or upload that is not there; a HEAD has no body and is named by its status.
 * NoSuchBucket is not among them: a missing bucket is a fault, else a whole registry would look empty.
 */
const ABSENT = new Set(['NoSuchKey', 'NotFound', 'NoSuchUpload', '404']);
const RETRYABLE_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const UNSUPPORTED = new Set([
  'NotImplemented',
  'MethodNotAllowed',
  'MissingContentMD5',
  'InvalidRequest',
]);

interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** A fault of the S3 store. */
export class S3StorageError extends StorageError {
  override readonly name: string = 'S3StorageError';
  /** Whether trying again later may help, as far as the store told. */
  readonly retryable: boolean;

  constructor(operation: string, message: string, retryable: boolean, cause?: unknown) {
    super(operation, message, cause);
    this.retryable = retryable;
  }
}

function asSdkError(error: unknown): SdkError {
  return error instanceof Error ? error : { name: 'Error', message: String(error) };
}

/** Whether the store says that the object or multipart upload does not exist. */
export function isAbsent(error: unknown): boolean {
  return ABSENT.has(asSdkError(error).name);
}

/** Whether the store says that it does not offer the operation. */
export function isUnsupported(error: unknown): boolean {
  return UNSUPPORTED.has(asSdkError(error).name);
}

/** Why the store did not create an object that must not exist; another error is thrown. */
export function refusalToCreate(error: unknown): 'exists' | 'busy' | 'unsupported' {
  const { name, $metadata } = asSdkError(error);
  if (name === 'PreconditionFailed' || $metadata?.httpStatusCode === 412) return 'exists';
  if (name === 'ConditionalRequestConflict') return 'busy';
  if (name === 'NotImplemented' || $metadata?.httpStatusCode === 501) return 'unsupported';
  throw error;
}

/** Whether the store says that no byte of the asked range exists. */
export function isRangeRefused(error: unknown): boolean {
  const { name, $metadata } = asSdkError(error);
  return name === 'InvalidRange' || $metadata?.httpStatusCode === 416;
}

/** Whether the store says that the bucket does not exist. */
export function isBucketMissing(error: unknown): boolean {
  return asSdkError(error).name === 'NoSuchBucket';
}

/** Whether the store says that a condition of a write did not hold, or that another writer was faster. */
export function isPreconditionFailed(error: unknown): boolean {
  const { name, $metadata } = asSdkError(error);
  return name === 'PreconditionFailed' || [409, 412].includes($metadata?.httpStatusCode ?? 0);
}

/** Whether it is the store's refusal of what these credentials ask, as a StorageError has it. */
export function isRefused(error: unknown): boolean {
  return error instanceof StorageError && asSdkError(error.cause).$metadata?.httpStatusCode === 403;
}

/** The fault that an error of the SDK or of a socket means. Never holds a credential. */
export function storageFault(operation: string, key: string, error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const { name, message, $metadata } = asSdkError(error);
  const status = $metadata?.httpStatusCode;
  const retryable = status === undefined || RETRYABLE_STATUS.has(status);
  const answer = status === undefined ? name : `${name} (${status})`;
  return new S3StorageError(operation, `${key}: ${answer}: ${message}`, retryable, error);
}
