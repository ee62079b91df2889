import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';

import { finishDigest, startDigest } from '../../oci/digest.ts';
import { uploadTailKey } from '../object-keys.ts';
import { lingeringSignal } from './lingering-signal.ts';
import { beginMultipart, type StoredPart } from './multipart-upload.ts';
import { PartAssembler } from './part-assembler.ts';
import { PartUploader } from './part-uploader.ts';
import { sha256Of } from './payload-hash.ts';
import { readBody } from './read-body.ts';
import type { RunningHash } from './running-hashes.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { cleanupSignal } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';
import {
  type OpenUpload,
  readTail,
  saveUpload,
  type UploadCall,
  type UploadTail,
} from './upload-state.ts';

/** How long the bytes of a client that is gone may take to be stored. */
const SALVAGE_MS = 15_000;
/** A tail up to this size stands in the record: small blobs then need no object of their own until they are blobs. */
const INLINE_TAIL_BYTES = 32 * 1024;

export interface UploadProgress {
  readonly state: OpenUpload;
  /** The hash of all bytes so far, when this process saw them in turn. */
  readonly running: RunningHash | undefined;
}

export interface AppendOutcome extends UploadProgress {
  /** What broke the body or the store; what came before it is in `state`. */
  readonly failure: { readonly error: unknown } | undefined;
}

/**
 * Appends a body to a session: whole parts go to the multipart upload of the staged object, what remains becomes the
 * new tail. The order is crash-safe: parts and tail first, then the record, which acknowledges them, then the old tail
 * goes. When the body or the store breaks, what could be stored up to there is recorded the same way.
 */
export async function appendToUpload(
  bucket: S3Bucket,
  call: UploadCall,
  { state, running }: UploadProgress,
  body: Readable,
): Promise<AppendOutcome> {
  using linger = lingeringSignal(call.signal, SALVAGE_MS);
  const append = new UploadAppend(bucket, { ...call, signal: linger.signal }, state);
  await append.begin(running);
  const failure = await append.take(body, call.signal);
  try {
    return { ...(await append.record()), failure };
  } catch (error) {
    throw failure === undefined ? error : failure.error;
  }
}

class UploadAppend {
  readonly #bucket: S3Bucket;
  readonly #call: UploadCall;
  readonly #state: OpenUpload;
  readonly #firstNumber: number;
  readonly #uploader: PartUploader;
  readonly #assembler: PartAssembler;
  #running: RunningHash | undefined;
  #received = 0;

  constructor(bucket: S3Bucket, call: UploadCall, state: OpenUpload) {
    this.#bucket = bucket;
    this.#call = call;
    this.#state = state;
    this.#firstNumber = state.parts.length + 1;
    this.#uploader = new PartUploader(bucket, {
      operation: call.operation,
      key: state.key,
      begin: () => this.#beginMultipart(),
      onReleased: (part) => {
        this.#assembler.recycle(part);
      },
      signal: call.signal,
    });
    this.#assembler = new PartAssembler(this.#firstNumber, state.partBytes, (part) =>
      this.#uploader.add(part),
    );
  }

  /** Takes the old tail up: it becomes the beginning of the next part. */
  async begin(running: RunningHash | undefined): Promise<void> {
    const { tail, parts, offset, algorithm } = this.#state;
    const bytes = await readTail(this.#bucket, this.#call, tail);
    if (bytes === undefined) {
      const message = `${this.#state.key}: the tail of the session is gone`;
      throw new S3StorageError(this.#call.operation, message, true);
    }
    await this.#assembler.write(bytes);
    if (running?.offset === offset && running.algorithm === algorithm) {
      this.#running = running;
    } else if (parts.length === 0) {
      this.#running = { algorithm, offset, hash: startDigest(algorithm).update(bytes) };
    }
  }

  /** Reads the body; resolves to what ended it early. */
  async take(body: Readable, signal: AbortSignal): Promise<AppendOutcome['failure']> {
    try {
      await readBody(body, signal, async (chunk) => {
        this.#received += chunk.length;
        this.#running?.hash.update(chunk);
        await this.#assembler.write(chunk);
      });
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  /** Stores what remains and replaces the record. Throws a fault of the store. */
  async record(): Promise<UploadProgress> {
    const { offset: before, algorithm, tail: oldTail } = this.#state;
    if (this.#received === 0) return { state: this.#state, running: this.#running };
    await this.#uploader.settle();
    const parts = [...this.#state.parts, ...this.#uploader.unbroken(this.#firstNumber)];
    const rest = this.#uploader.hasFailed ? Buffer.alloc(0) : this.#assembler.rest.bytes;
    const offset = sizeOf(parts) + rest.length;
    if (offset > before) {
      const isWhole = offset === before + this.#received;
      const hash = isWhole ? this.#running?.hash : undefined;
      const tail = await this.#storeTail(rest, offset);
      const { uploadId } = this.#uploader;
      const multipart = uploadId === undefined ? this.#state.multipart : { uploadId };
      const { schemaVersion, kind, key, partBytes } = this.#state;
      const state: OpenUpload = {
        schemaVersion,
        kind,
        key,
        partBytes,
        algorithm,
        ...(multipart && { multipart }),
        parts,
        ...(tail && { tail }),
        offset,
        ...(hash && { digest: finishDigest(algorithm, hash.copy()) }),
      };
      await saveUpload(this.#bucket, this.#call, state);
      await this.#dropTail(oldTail);
      await this.#uploader.finish();
      return { state, running: hash && { algorithm, offset, hash } };
    }
    await this.#uploader.finish();
    return { state: this.#state, running: undefined };
  }

  /** The record tells of the upload before it exists, so that whoever ends the session looks for it. */
  async #beginMultipart(): Promise<string> {
    const { operation, signal } = this.#call;
    const { key, multipart } = this.#state;
    if (multipart?.uploadId !== undefined) return multipart.uploadId;
    if (multipart === undefined) {
      await saveUpload(this.#bucket, this.#call, { ...this.#state, multipart: {} });
    }
    return (await beginMultipart(this.#bucket, operation, key, signal)).uploadId;
  }

  async #storeTail(bytes: Buffer, offset: number): Promise<UploadTail | undefined> {
    if (bytes.length === 0) return undefined;
    if (bytes.length <= INLINE_TAIL_BYTES) return { base64: bytes.toString('base64') };
    const { operation, repository, id, signal } = this.#call;
    // No name is used twice: a late try of another request never replaces a tail that a record names.
    const name = `${offset}-${randomBytes(4).toString('hex')}`;
    const key = uploadTailKey(repository, id, name);
    const sha256 = await sha256Of(bytes);
    await this.#bucket.put({ operation, key, signal }, bytes, sha256);
    return { key, size: bytes.length, sha256 };
  }

  /** A tail that stays is removed with its session. */
  async #dropTail(tail: UploadTail | undefined): Promise<void> {
    if (tail === undefined || !('key' in tail)) return;
    try {
      await this.#bucket.delete(this.#call.operation, tail.key, cleanupSignal());
    } catch {
      // Nothing depends on it.
    }
  }
}

function sizeOf(parts: readonly StoredPart[]): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
}
