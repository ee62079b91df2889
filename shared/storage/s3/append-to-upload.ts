import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';

import { finishDigest, startDigest } from '../../oci/digest.ts';
import { uploadSegmentKey, uploadTailKey } from '../object-keys.ts';
import { lingeringSignal } from './lingering-signal.ts';
import { abortMultipart, beginMultipart, type MultipartTarget } from './multipart-upload.ts';
import { type AssembledPart, PartAssembler, partBytesAt } from './part-assembler.ts';
import { PartUploader } from './part-uploader.ts';
import { sha256Of } from './payload-hash.ts';
import { readBody } from './read-body.ts';
import type { RunningHash } from './running-hashes.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { cleanupSignal } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';
import { deleteAll } from './s3-listing.ts';
import {
  newAttempt,
  type OpenUpload,
  segmentsSize,
  type TailPiece,
  type UploadSegment,
  type UploadTail,
} from './upload-record.ts';
import { saveUpload, type UploadCall } from './upload-state.ts';
import { joinPieces, piecesSize } from './upload-tail.ts';

/** How long the bytes of a client that is gone may take to be stored. */
const SALVAGE_MS = 15_000;
/** Up to so many bytes of the tail stand in the record itself. */
const RECORDED_TAIL_BYTES = 32 * 1024;
/** The same for the first chunk, which is nearly always the only one: such a blob is staged by one request. */
const RECORDED_FIRST_BYTES = 5 * 1024 * 1024;
const EMPTY = Buffer.alloc(0);

interface UploadProgress {
  readonly state: OpenUpload;
  /** Of the record that says so; 0 when there is none. */
  readonly generation: number;
  /** The hash of all bytes so far, when this process saw them in turn. */
  readonly running: RunningHash | undefined;
}

/** Where an append begins. */
interface AppendStart extends UploadProgress {
  /** The bytes in `state` are in memory since they were hashed, not read back. */
  readonly isOwn: boolean;
}

export interface AppendOutcome extends UploadProgress {
  /** What broke the body or the store; what came before it is in `state`. */
  readonly failure: { readonly error: unknown } | undefined;
}

/** Another request has gone on with the session: what this one brought is not part of it. */
export class UploadOvertakenError extends Error {
  override readonly name = 'UploadOvertakenError';
}

/**
 * Appends a body to a session: whole parts go to the multipart upload of its last segment, what remains is added to
 * the tail. The order is crash-safe: the bytes first, then the record, which acknowledges them, and only then goes the
 * tail that a part has taken up. When the body or the store breaks, what could be stored up to there is recorded the
 * same way. Throws UploadOvertakenError when the session did not wait for it; nothing of the session is touched then,
 * however late that is noticed.
 */
export async function appendToUpload(
  bucket: S3Bucket,
  call: UploadCall,
  progress: AppendStart,
  body: Readable,
): Promise<AppendOutcome> {
  using linger = lingeringSignal(call.signal, SALVAGE_MS);
  const append = new UploadAppend(bucket, { ...call, signal: linger.signal }, progress);
  await append.begin(progress);
  const failure = await append.take(body, call.signal);
  try {
    return { ...(await append.record(failure === undefined)), failure };
  } catch (error) {
    // The session may have ended before the upload was begun; then nobody else looks for it.
    if (error instanceof UploadOvertakenError) await append.dropBegun();
    throw failure === undefined ? error : failure.error;
  }
}

class UploadAppend {
  readonly #bucket: S3Bucket;
  readonly #call: UploadCall;
  readonly #state: OpenUpload;
  /** What stands before the segment that is written to. */
  readonly #closed: readonly UploadSegment[];
  readonly #firstNumber: number;
  readonly #uploader: PartUploader;
  readonly #assembler: PartAssembler;
  #segment: UploadSegment;
  #generation: number;
  #hasClaimed = false;
  /** The multipart upload that this append began, which no record names by its id yet. */
  #begun: MultipartTarget | undefined;
  #running: RunningHash | undefined;
  #received = 0;

  constructor(bucket: S3Bucket, call: UploadCall, { state, generation }: UploadProgress) {
    this.#bucket = bucket;
    this.#call = call;
    this.#state = state;
    this.#generation = generation;
    const last = state.segments.at(-1);
    const isFree = last !== undefined && !last.isClaimed;
    this.#closed = isFree ? state.segments.slice(0, -1) : state.segments;
    this.#segment = isFree ? last : newSegment(call, bucket.config.partBytes, last);
    this.#firstNumber = this.#segment.parts.length + 1;
    this.#uploader = new PartUploader(bucket, {
      operation: call.operation,
      key: this.#segment.key,
      begin: () => this.#claimSegment(),
      onReleased: (part) => {
        this.#assembler.recycle(part);
      },
      signal: call.signal,
    });
    const options = {
      partBytes: this.#segment.partBytes,
      firstNumber: this.#firstNumber,
      heldBytes: piecesSize(state.tail.pieces),
      pool: bucket.parts,
    };
    this.#assembler = new PartAssembler(options, (part) => this.#send(part));
  }

  /** Takes up what stands in the record: it becomes the beginning of what is gathered. */
  async begin({ running, isOwn }: AppendStart): Promise<void> {
    const { tail, offset, algorithm } = this.#state;
    const bytes = tail.rest;
    await this.#assembler.write(bytes);
    const isKnown = running?.offset === offset && running.algorithm === algorithm;
    if (isKnown && (isOwn || offset !== bytes.length)) {
      this.#running = running;
    } else if (offset === bytes.length) {
      // What was read back is hashed as it is now.
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

  /** Stores what remains and writes the record; `isAll`: the body came to its end. Throws a fault of the store. */
  async record(isAll: boolean): Promise<UploadProgress> {
    const before = this.#state;
    if (this.#received === 0) {
      return { state: before, generation: this.#generation, running: this.#running };
    }
    const isSealed = isAll && (await this.#seal());
    await this.#uploader.settle();
    const added = this.#uploader.unbroken(this.#firstNumber);
    const pieces = added.length === 0 ? before.tail.pieces : [];
    const rest = this.#uploader.hasFailed || isSealed ? EMPTY : this.#assembler.rest.bytes;
    const segments = this.#segments(added, isSealed);
    const offset = segmentsSize(segments) + piecesSize(pieces) + rest.length;
    if (offset <= before.offset) {
      await this.dropBegun();
      await this.#uploader.finish();
      return { state: before, generation: this.#generation, running: undefined };
    }
    const { algorithm } = before;
    const isWhole = offset === before.offset + this.#received;
    const hash = isWhole ? this.#running?.hash : undefined;
    const state: OpenUpload = {
      ...before,
      attempt: newAttempt(),
      segments,
      tail: await this.#storeTail(pieces, rest, offset),
      offset,
      digest: hash && finishDigest(algorithm, hash.copy()),
    };
    await this.#save(state);
    if (added.length > 0) await this.#dropPieces(before.tail.pieces);
    await this.#uploader.finish();
    const running = hash && { algorithm, offset, hash };
    return { state, generation: this.#generation, running };
  }

  /** Drops a multipart upload that is this append's own, and has nothing that is part of the session. */
  async dropBegun(): Promise<void> {
    const begun = this.#begun;
    if (begun === undefined) return;
    this.#begun = undefined;
    try {
      await abortMultipart(this.#bucket, this.#call.operation, begun, cleanupSignal());
    } catch {
      // As long as the session is there, its record names the key to the reaper.
    }
  }

  /**
   * What remains of a session's first chunk becomes the last part of its upload: nearly always nothing follows, and it
   * need not be sent again. If a chunk does follow, it begins another upload.
   */
  async #seal(): Promise<boolean> {
    if (this.#state.offset > 0 || !this.#hasClaimed || this.#uploader.hasFailed) return false;
    try {
      await this.#uploader.add(this.#assembler.rest);
    } catch {
      // A part before it has failed; `finish` tells.
    }
    return true;
  }

  #segments(added: UploadSegment['parts'], isSealed: boolean): UploadSegment[] {
    if (!this.#hasClaimed) return this.#state.segments;
    const parts = [...this.#segment.parts, ...added];
    // A part that failed for us may be on its way all the same.
    const isClaimed = this.#uploader.hasFailed || isSealed;
    return [...this.#closed, { ...this.#segment, parts, isClaimed }];
  }

  /** The first part also has what earlier chunks left. */
  async #send(part: AssembledPart): Promise<void> {
    const { pieces } = this.#state.tail;
    if (part.number !== this.#firstNumber || pieces.length === 0) {
      await this.#uploader.add(part);
      return;
    }
    const bytes = await joinPieces(this.#bucket, this.#call, pieces, part.bytes);
    if (bytes === undefined) {
      const message = `${this.#segment.key}: the tail of the session is gone`;
      throw new S3StorageError(this.#call.operation, message, true);
    }
    await this.#uploader.add({ number: part.number, bytes });
  }

  /**
   * The record tells of the upload before it exists, so that whoever ends the session looks for it, and before a part
   * is sent, so that no other append sends one under its number.
   */
  async #claimSegment(): Promise<string> {
    const claimed = { ...this.#segment, isClaimed: true };
    const segments = [...this.#closed, claimed];
    await this.#save({ ...this.#state, attempt: newAttempt(), segments });
    this.#segment = claimed;
    this.#hasClaimed = true;
    if (claimed.uploadId !== undefined) return claimed.uploadId;
    const { operation, signal } = this.#call;
    const begun = await beginMultipart(this.#bucket, operation, claimed.key, signal);
    const { uploadId, isDoubtful } = begun;
    this.#begun = { key: claimed.key, uploadId };
    this.#segment = { ...claimed, uploadId, ...(isDoubtful ? { mayHaveTwin: true } : {}) };
    return uploadId;
  }

  async #save(state: OpenUpload): Promise<void> {
    const generation = this.#generation + 1;
    if (!(await saveUpload(this.#bucket, this.#call, generation, state))) {
      throw new UploadOvertakenError('another request went on with the upload session');
    }
    this.#generation = generation;
  }

  async #storeTail(
    pieces: readonly TailPiece[],
    bytes: Buffer,
    offset: number,
  ): Promise<UploadTail> {
    const isFirst = this.#state.offset === 0;
    if (bytes.length <= (isFirst ? RECORDED_FIRST_BYTES : RECORDED_TAIL_BYTES)) {
      return { pieces, rest: bytes };
    }
    const { operation, repository, id, signal } = this.#call;
    // No name is used twice: a late try of another request never replaces a piece that a record names.
    const name = `${offset}-${randomBytes(4).toString('hex')}`;
    const key = uploadTailKey(repository, id, name);
    const sha256 = await sha256Of(bytes);
    await this.#bucket.put({ operation, key, signal }, bytes, sha256);
    return { pieces: [...pieces, { key, size: bytes.length, sha256 }], rest: EMPTY };
  }

  /** Pieces that stay are removed with their session. */
  async #dropPieces(pieces: readonly TailPiece[]): Promise<void> {
    try {
      const keys = pieces.map(({ key }) => key);
      await deleteAll(this.#bucket, this.#call.operation, keys, cleanupSignal());
    } catch {
      // Nothing depends on it.
    }
  }
}

/** Goes on with the part size that the upload has grown to. */
function newSegment(
  { repository, id }: UploadCall,
  configuredBytes: number,
  last: UploadSegment | undefined,
): UploadSegment {
  const partBytes = last ? partBytesAt(last.parts.length + 1, last.partBytes) : configuredBytes;
  const key = uploadSegmentKey(repository, id, newAttempt());
  return { key, partBytes, parts: [], isClaimed: false };
}
