import pLimit from 'p-limit';
import { z } from 'zod';

import { type Digest, type DigestAlgorithm, parseDigest } from '../../oci/digest.ts';
import type { RepositoryName, UploadId } from '../../oci/reference.ts';
import { uploadDataKey, uploadStartedAtKey, uploadStateKey } from '../object-keys.ts';
import { sha256Of } from './payload-hash.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';

/** A list of 10,000 parts has about 1 MB. */
const MAX_STATE_BYTES = 4 * 1024 * 1024;

/** How many pieces of a tail are read at a time. */
const CONCURRENT_READS = 4;

const digestSchema = z.string().transform((text, context): Digest => {
  const digest = parseDigest(text);
  if (digest !== undefined) return digest;
  context.addIssue('not a digest');
  return z.NEVER;
});

const pieceSchema = z.object({ key: z.string(), size: z.int().nonnegative(), sha256: z.string() });

/**
 * The bytes after the last whole part: objects, each with what one chunk or a few brought, then what stands in the
 * record itself. So a chunk is written once however small it is, and small blobs need no object before they are one.
 */
const tailSchema = z.object({ pieces: z.array(pieceSchema), inline: z.base64() });

const openSchema = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal('open'),
  /** The key of the staged object that the parts make. */
  key: z.string(),
  /** Size of its first part. */
  partBytes: z.int().positive(),
  /** Present from before a multipart upload is begun; without an id it may or may not have come to be. */
  multipart: z.object({ uploadId: z.string().optional() }).optional(),
  parts: z.array(z.object({ n: z.int(), etag: z.string(), size: z.int() })),
  /** What follows the parts. */
  tail: tailSchema,
  /** Bytes of parts and tail together. */
  offset: z.int().nonnegative(),
  algorithm: z.enum(['sha256', 'sha512']),
  /** The digest of all bytes so far, as long as one process saw them in turn. */
  digest: digestSchema.optional(),
});

const committedSchema = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal('committed'),
  digest: digestSchema,
});

const stateSchema = z.discriminatedUnion('kind', [openSchema, committedSchema]);

export type TailPiece = z.infer<typeof pieceSchema>;
export type UploadTail = z.infer<typeof tailSchema>;
export type OpenUpload = z.infer<typeof openSchema>;
/** What stays of a finished session until it is reaped: it lets that digest, and no other, be committed once more. */
type CommittedUpload = z.infer<typeof committedSchema>;
export type UploadState = OpenUpload | CommittedUpload;

/** The record of a session is not one that this version understands. */
export class UnreadableUploadError extends S3StorageError {
  override readonly name = 'UnreadableUploadError';
}

/** Which session, and what ends the work on it. */
export interface UploadCall {
  readonly operation: string;
  readonly repository: RepositoryName;
  readonly id: UploadId;
  readonly signal: AbortSignal;
}

export interface LoadedUpload {
  /** Undefined when the session is finished, cancelled or was never there. */
  readonly startedAt: Date | undefined;
  readonly state: UploadState | undefined;
}

/** A session without a byte, which needs no record of its own. */
export function emptyUpload(
  call: UploadCall,
  algorithm: DigestAlgorithm,
  partBytes: number,
): OpenUpload {
  return {
    schemaVersion: 1,
    kind: 'open',
    key: uploadDataKey(call.repository, call.id),
    partBytes,
    parts: [],
    tail: { pieces: [], inline: '' },
    offset: 0,
    algorithm,
  };
}

export async function loadUpload(bucket: S3Bucket, call: UploadCall): Promise<LoadedUpload> {
  const { operation, repository, id, signal } = call;
  const startedAtKey = uploadStartedAtKey(repository, id);
  const stateKey = uploadStateKey(repository, id);
  const [startedAt, bytes] = await Promise.all([
    bucket.get({ operation, key: startedAtKey, signal }, 1024),
    bucket.get({ operation, key: stateKey, signal }, MAX_STATE_BYTES),
  ]);
  return {
    startedAt: startedAt && parseTime(startedAt),
    state: bytes && parseState(operation, stateKey, bytes),
  };
}

/** Replaces the record; what it says is acknowledged from here on. */
export async function saveUpload(
  bucket: S3Bucket,
  call: UploadCall,
  state: UploadState,
): Promise<void> {
  const { operation, repository, id, signal } = call;
  const bytes = Buffer.from(JSON.stringify(state));
  const key = uploadStateKey(repository, id);
  await bucket.put({ operation, key, signal }, bytes, await sha256Of(bytes));
}

export function piecesSize(pieces: readonly TailPiece[]): number {
  return pieces.reduce((sum, { size }) => sum + size, 0);
}

/**
 * The bytes of pieces, each verified, followed by `rest`, in one new buffer; undefined when one of them is not there.
 */
export async function joinPieces(
  bucket: S3Bucket,
  { operation, signal }: UploadCall,
  pieces: readonly TailPiece[],
  rest: Buffer,
): Promise<Buffer | undefined> {
  const held = piecesSize(pieces);
  const joined = Buffer.allocUnsafeSlow(held + rest.length);
  rest.copy(joined, held);
  const limit = pLimit(CONCURRENT_READS);
  let end = 0;
  const reads = pieces.map((piece) => {
    const start = end;
    end += piece.size;
    return limit(async () => {
      const bytes = await bucket.get({ operation, key: piece.key, signal }, piece.size);
      if (bytes === undefined) return false;
      if ((await sha256Of(bytes)) !== piece.sha256) {
        const message = `${piece.key}: the store gave back other bytes`;
        throw new S3StorageError(operation, message, false);
      }
      bytes.copy(joined, start);
      return true;
    });
  });
  return (await Promise.all(reads)).every((isThere) => isThere) ? joined : undefined;
}

/** All bytes of the tail; undefined when they are not there. */
export async function readTail(
  bucket: S3Bucket,
  call: UploadCall,
  { pieces, inline }: UploadTail,
): Promise<Buffer | undefined> {
  return await joinPieces(bucket, call, pieces, Buffer.from(inline, 'base64'));
}

function parseTime(bytes: Buffer): Date {
  const time = new Date(bytes.toString('utf8').trim());
  return Number.isNaN(time.getTime()) ? new Date(0) : time;
}

function parseState(operation: string, key: string, bytes: Buffer): UploadState {
  try {
    return stateSchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    const message = `${key}: not a record of an upload session`;
    throw new UnreadableUploadError(operation, message, false, error);
  }
}
