import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { type Digest, type DigestAlgorithm, parseDigest } from '../../oci/digest.ts';
import { unlessAbsent } from './filesystem-errors.ts';

/**
 * The small files of an upload session beside its staged bytes. They only save work or prove what was done: whoever
 * finds one missing, torn or out of date reads the staged bytes themselves.
 */
export const STARTED_AT = 'startedat';
export const PROGRESS = 'progress.json';
export const COMMITTED = 'committed.json';

/** The digest of the first `offset` staged bytes, as long as they are in the file with this inode. */
export interface Progress {
  readonly algorithm: DigestAlgorithm;
  readonly offset: number;
  readonly digest: Digest;
  readonly inode: number;
}

const digestSchema = z.string().transform((text, context) => {
  const digest = parseDigest(text);
  if (digest) return digest;
  context.addIssue('not a digest');
  return z.NEVER;
});
const progressSchema = z.object({
  schemaVersion: z.literal(1),
  algorithm: z.enum(['sha256', 'sha512']),
  offset: z.int().nonnegative(),
  digest: digestSchema,
  inode: z.number(),
});
const committedSchema = z.object({ schemaVersion: z.literal(1), digest: digestSchema });

/** RFC 3339, as the CNCF registry writes and reads it. */
export async function writeStartedAt(folder: string, startedAt: Date): Promise<void> {
  await writeFile(join(folder, STARTED_AT), startedAt.toISOString());
}

/** Undefined when the session is finished, unknown, or its time cannot be read. */
export async function readStartedAt(folder: string): Promise<Date | undefined> {
  const text = await unlessAbsent(readFile(join(folder, STARTED_AT), 'utf8'));
  const startedAt = new Date(text ?? Number.NaN);
  return Number.isNaN(startedAt.getTime()) ? undefined : startedAt;
}

export async function readProgress(folder: string): Promise<Progress | undefined> {
  return readJson(join(folder, PROGRESS), progressSchema);
}

/** Does nothing when the session is gone by now. */
export async function writeProgress(folder: string, progress: Progress): Promise<void> {
  await writeJson(join(folder, PROGRESS), progress);
}

/** The digest that the session had when it was finished: it may answer for this blob and for no other. */
export async function readCommitted(folder: string): Promise<Digest | undefined> {
  return (await readJson(join(folder, COMMITTED), committedSchema))?.digest;
}

export async function writeCommitted(folder: string, digest: Digest): Promise<void> {
  await writeJson(join(folder, COMMITTED), { digest });
}

async function writeJson(path: string, fields: object): Promise<void> {
  await unlessAbsent(writeFile(path, JSON.stringify({ schemaVersion: 1, ...fields })));
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await unlessAbsent(readFile(path, 'utf8'));
  try {
    return text === undefined ? undefined : schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
