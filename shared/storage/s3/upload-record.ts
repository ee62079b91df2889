import { randomBytes } from 'node:crypto';

import { z } from 'zod';

import { type Digest, type DigestAlgorithm, parseDigest } from '../../oci/digest.ts';
import { S3StorageError } from './s3-errors.ts';

/** Between what a record says and the bytes that stand in it. JSON without blanks has none. */
const LINE_END = 0x0a;

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

export function segmentsSize(segments: readonly UploadSegment[]): number {
  return segments.reduce((sum, segment) => sum + segmentSize(segment), 0);
}

export function segmentSize({ parts }: UploadSegment): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
}

/** The bytes of a record: what it says, then the bytes that stand in it. */
export function formatUpload(state: UploadState): Buffer {
  if (state.kind === 'committed') return Buffer.from(JSON.stringify(state));
  const { pieces, rest } = state.tail;
  const said = JSON.stringify({ ...state, tail: { pieces, restBytes: rest.length } });
  return Buffer.concat([Buffer.from(said), Buffer.of(LINE_END), rest]);
}

/** Throws UnreadableUploadError. `key` is named in it. */
export function parseUpload(operation: string, key: string, bytes: Buffer): UploadState {
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
