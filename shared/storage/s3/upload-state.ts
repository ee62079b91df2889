import { randomBytes } from 'node:crypto';

import pLimit from 'p-limit';
import { z } from 'zod';

import { type Digest, type DigestAlgorithm, parseDigest } from '../../oci/digest.ts';
import type { RepositoryName, UploadId } from '../../oci/reference.ts';
import {
  uploadRecordsPrefix,
  uploadStartedAtKey,
  uploadStateGeneration,
  uploadStateKey,
} from '../object-keys.ts';
import { sha256Of } from './payload-hash.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { cleanupSignal } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';
import { deleteAll, listFirst } from './s3-listing.ts';

/** A list of 10,000 parts has about 1 MB; and the tail may stand in the record. */
const MAX_STATE_BYTES = 16 * 1024 * 1024;
/** Between what a record says and the bytes that stand in it. JSON without blanks has none. */
const LINE_END = 0x0a;

/** How often a record is looked for that is tidied away under its reader. */
const LOAD_ATTEMPTS = 3;
/** So many records of a session stay at least. */
const KEPT_GENERATIONS = 64;

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
const tailSchema = z.object({ pieces: z.array(pieceSchema), restBytes: z.int().nonnegative() });

/**
 * An object in the making: a multipart upload with the parts of it that are acknowledged. A session has one, and one
 * more after each append that broke off: what such an append still has under way may reach the store late, so its
 * upload gets no further parts.
 */
const segmentSchema = z.object({
  key: z.string(),
  /** Absent as long as the upload may or may not have come to be. */
  uploadId: z.string().optional(),
  /** Size of its first part. */
  partBytes: z.int().positive(),
  parts: z.array(z.object({ n: z.int(), etag: z.string(), size: z.int() })),
  /** It gets no further parts: an append sends some, did so and never told its end, or sent one that has to be the last. */
  isClaimed: z.boolean(),
  /** Beginning it was tried more than once: there may be another upload of that key, which nobody knows. */
  mayHaveTwin: z.boolean().optional(),
});

const openSchema = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal('open'),
  /** Names the one try that wrote this record. */
  attempt: z.string(),
  /** In the order of their bytes. */
  segments: z.array(segmentSchema),
  /** What follows the segments. */
  tail: tailSchema,
  /** Bytes of segments and tail together. */
  offset: z.int().nonnegative(),
  algorithm: z.enum(['sha256', 'sha512']),
  /** The digest of all bytes so far, as long as one process saw them in turn. */
  digest: digestSchema.optional(),
});

const committedSchema = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal('committed'),
  attempt: z.string(),
  digest: digestSchema,
});

const stateSchema = z.discriminatedUnion('kind', [openSchema, committedSchema]);

export type TailPiece = z.infer<typeof pieceSchema>;
/** What follows the segments: pieces, then bytes that stand in the record itself. */
export interface UploadTail {
  readonly pieces: readonly TailPiece[];
  readonly rest: Buffer;
}
export type UploadSegment = z.infer<typeof segmentSchema>;
export type OpenUpload = Omit<z.infer<typeof openSchema>, 'tail'> & { readonly tail: UploadTail };
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
  /** 0: there is no record yet. */
  readonly generation: number;
  readonly state: UploadState | undefined;
}

/** A session without a byte, which needs no record of its own. */
export function emptyUpload(algorithm: DigestAlgorithm): OpenUpload {
  return {
    schemaVersion: 1,
    kind: 'open',
    attempt: newAttempt(),
    segments: [],
    tail: { pieces: [], rest: Buffer.alloc(0) },
    offset: 0,
    algorithm,
  };
}

export const newAttempt = (): string => randomBytes(9).toString('base64url');

export async function loadUpload(bucket: S3Bucket, call: UploadCall): Promise<LoadedUpload> {
  const { operation, repository, id, signal } = call;
  const prefix = uploadRecordsPrefix(repository, id);
  for (let look = 1; ; look += 1) {
    const newest = await listFirst(bucket, operation, prefix, 2, signal);
    const startedAtKey = uploadStartedAtKey(repository, id);
    const startedAt = newest.find(({ key }) => key === startedAtKey)?.lastModified;
    const generations = newest.map(({ key }) => uploadStateGeneration(key) ?? 0);
    const generation = Math.max(0, ...generations);
    if (generation === 0) return { startedAt, generation, state: undefined };
    const key = uploadStateKey(repository, id, generation);
    const bytes = await bucket.get({ operation, key, signal }, MAX_STATE_BYTES);
    if (bytes !== undefined) {
      return { startedAt, generation, state: parseState(operation, key, bytes) };
    }
    // It was tidied away because many newer ones came, or the session ended.
    if (look === LOAD_ATTEMPTS) return { startedAt: undefined, generation, state: undefined };
  }
}

/** What `startedat` says from the beginning. */
export const startedAtText = (startedAt: Date): string => startedAt.toISOString();

/** The same moment in other words: from now on a record that is not there may have been tidied away. */
const gapsText = (startedAt: Date): string => startedAt.toISOString().replace('Z', '+00:00');

/**
 * Whether the session is still as it was when the record of this generation was its newest. Two small questions, where
 * `loadUpload` lists and reads. False also for one with so many records that the old ones are tidied away.
 */
export async function isStillAt(
  bucket: S3Bucket,
  { operation, repository, id, signal }: UploadCall,
  { startedAt, generation }: { readonly startedAt: Date; readonly generation: number },
): Promise<boolean> {
  const [started, next] = await Promise.all([
    bucket.head(operation, uploadStartedAtKey(repository, id), signal),
    bucket.head(operation, uploadStateKey(repository, id, generation + 1), signal),
  ]);
  return started?.size === startedAtText(startedAt).length && next === undefined;
}

/** When a session began by its own account; undefined when it is finished, cancelled or was never there. */
export async function readStartedAt(
  bucket: S3Bucket,
  { operation, repository, id, signal }: UploadCall,
): Promise<Date | undefined> {
  const key = uploadStartedAtKey(repository, id);
  const bytes = await bucket.get({ operation, key, signal }, 1024);
  return bytes && parseTime(bytes);
}

/**
 * Writes the record of a generation that has none yet; what it says is acknowledged from here on. False when another
 * has written one: then nothing is changed. So a writer that is late, however late, replaces nothing newer.
 */
export async function saveUpload(
  bucket: S3Bucket,
  call: UploadCall,
  generation: number,
  state: UploadState,
): Promise<boolean> {
  const { operation, repository, id, signal } = call;
  const bytes = recordOf(state);
  const key = uploadStateKey(repository, id, generation);
  if (await bucket.create({ operation, key, signal }, bytes, await sha256Of(bytes))) {
    await dropOldRecords(bucket, call, generation);
    return true;
  }
  // A try of ours may have been applied and its answer lost.
  const found = await bucket.get({ operation, key, signal }, MAX_STATE_BYTES);
  return found !== undefined && parseState(operation, key, found).attempt === state.attempt;
}

/** The keys of the records that there may be before this generation. */
export function keptRecordKeys({ repository, id }: UploadCall, generation: number): string[] {
  const count = Math.min(2 * KEPT_GENERATIONS, generation) - 1;
  return Array.from({ length: count }, (_, i) =>
    uploadStateKey(repository, id, generation - 1 - i),
  );
}

/** Records stay for a while, so that a writer who is late finds its place taken. */
async function dropOldRecords(
  bucket: S3Bucket,
  call: UploadCall,
  generation: number,
): Promise<void> {
  if (generation % KEPT_GENERATIONS !== 0) return;
  const old = keptRecordKeys(call, generation).slice(KEPT_GENERATIONS - 1);
  if (old.length === 0) return;
  try {
    if (!(await tellOfGaps(bucket, call))) return;
    await deleteAll(bucket, call.operation, old, cleanupSignal());
  } catch {
    // They go with the session.
  }
}

/** False when the session has ended. */
async function tellOfGaps(bucket: S3Bucket, call: UploadCall): Promise<boolean> {
  const startedAt = await readStartedAt(bucket, call);
  if (startedAt === undefined) return false;
  const bytes = Buffer.from(gapsText(startedAt));
  const key = uploadStartedAtKey(call.repository, call.id);
  const { operation, signal } = call;
  await bucket.put({ operation, key, signal }, bytes, await sha256Of(bytes));
  return true;
}

export function segmentsSize(segments: readonly UploadSegment[]): number {
  return segments.reduce((sum, segment) => sum + segmentSize(segment), 0);
}

export function segmentSize({ parts }: UploadSegment): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
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
  { pieces, rest }: UploadTail,
): Promise<Buffer | undefined> {
  return pieces.length === 0 ? rest : await joinPieces(bucket, call, pieces, rest);
}

function parseTime(bytes: Buffer): Date {
  const time = new Date(bytes.toString('utf8').trim());
  return Number.isNaN(time.getTime()) ? new Date(0) : time;
}

function recordOf(state: UploadState): Buffer {
  if (state.kind === 'committed') return Buffer.from(JSON.stringify(state));
  const { pieces, rest } = state.tail;
  const said = JSON.stringify({ ...state, tail: { pieces, restBytes: rest.length } });
  return Buffer.concat([Buffer.from(said), Buffer.of(LINE_END), rest]);
}

function parseState(operation: string, key: string, bytes: Buffer): UploadState {
  try {
    const end = bytes.indexOf(LINE_END);
    const said = end < 0 ? bytes : bytes.subarray(0, end);
    const state = stateSchema.parse(JSON.parse(said.toString('utf8')));
    if (state.kind === 'committed') return state;
    const { pieces, restBytes } = state.tail;
    const rest = bytes.subarray(said.length + 1);
    if (rest.length !== restBytes) throw new Error(`${rest.length} bytes follow, not ${restBytes}`);
    return { ...state, tail: { pieces, rest } };
  } catch (error) {
    const message = `${key}: not a record of an upload session`;
    throw new UnreadableUploadError(operation, message, false, error);
  }
}
