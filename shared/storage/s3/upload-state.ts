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
import { deleteAll, listFirst } from './s3-listing.ts';
import { formatUpload, parseUpload, type UploadState } from './upload-record.ts';

/** A list of 10,000 parts has about 1 MB; and the tail may stand in the record. */
const MAX_STATE_BYTES = 16 * 1024 * 1024;
/** How often a record is looked for that is tidied away under its reader. */
const LOAD_ATTEMPTS = 3;
/** So many records of a session stay at least. */
const KEPT_GENERATIONS = 64;

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
      return { startedAt, generation, state: parseUpload(operation, key, bytes) };
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
  const bytes = formatUpload(state);
  const key = uploadStateKey(repository, id, generation);
  if (await bucket.create({ operation, key, signal }, bytes, await sha256Of(bytes))) {
    await dropOldRecords(bucket, call, generation);
    return true;
  }
  // A try of ours may have been applied and its answer lost.
  const found = await bucket.get({ operation, key, signal }, MAX_STATE_BYTES);
  return found !== undefined && parseUpload(operation, key, found).attempt === state.attempt;
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

function parseTime(bytes: Buffer): Date {
  const time = new Date(bytes.toString('utf8').trim());
  return Number.isNaN(time.getTime()) ? new Date(0) : time;
}
