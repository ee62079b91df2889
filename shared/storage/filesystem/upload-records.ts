import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { type Digest, type DigestAlgorithm, parseDigest } from '../../oci/digest.ts';
import { unlessAbsent } from './filesystem-errors.ts';
import type { PromptCalls } from './prompt-calls.ts';

/**
 * The small files of an upload session beside its staged bytes. They only save work or prove what was done: whoever
 * finds one missing, torn or out of date reads the staged bytes themselves.
 */
export const STARTED_AT = 'startedat';
const PROGRESS = 'progress.json';
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
export async function writeStartedAt(
  calls: PromptCalls,
  folder: string,
  startedAt: Date,
): Promise<void> {
  await writeSmall(calls, join(folder, STARTED_AT), startedAt.toISOString());
}

/** Undefined when the session is finished, unknown, or its time cannot be read. */
export async function readStartedAt(calls: PromptCalls, folder: string): Promise<Date | undefined> {
  const text = await unlessAbsent(readSmall(calls, join(folder, STARTED_AT)));
  const startedAt = new Date(text ?? Number.NaN);
  return Number.isNaN(startedAt.getTime()) ? undefined : startedAt;
}

export async function readProgress(
  calls: PromptCalls,
  folder: string,
): Promise<Progress | undefined> {
  return readJson(calls, join(folder, PROGRESS), progressSchema);
}

/** Does nothing when the session is gone by now. */
export async function writeProgress(
  calls: PromptCalls,
  folder: string,
  progress: Progress,
): Promise<void> {
  await writeJson(calls, join(folder, PROGRESS), progress);
}

/** The digest that the session had when it was finished: it may answer for this blob and for no other. */
export async function readCommitted(
  calls: PromptCalls,
  folder: string,
): Promise<Digest | undefined> {
  return (await readJson(calls, join(folder, COMMITTED), committedSchema))?.digest;
}

export async function writeCommitted(
  calls: PromptCalls,
  folder: string,
  digest: Digest,
): Promise<void> {
  await writeJson(calls, join(folder, COMMITTED), { digest });
}

/** What an open session has beside its bytes; from here on it is finished. */
export async function removeOpenRecords(calls: PromptCalls, folder: string): Promise<void> {
  for (const name of [STARTED_AT, PROGRESS]) {
    const path = join(folder, name);
    const removed = calls.either(
      () => {
        unlinkSync(path);
      },
      () => unlink(path),
    );
    await unlessAbsent(removed);
  }
}

async function writeJson(calls: PromptCalls, path: string, fields: object): Promise<void> {
  await unlessAbsent(writeSmall(calls, path, JSON.stringify({ schemaVersion: 1, ...fields })));
}

async function readJson<T>(
  calls: PromptCalls,
  path: string,
  schema: z.ZodType<T>,
): Promise<T | undefined> {
  const text = await unlessAbsent(readSmall(calls, path));
  try {
    return text === undefined ? undefined : schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function readSmall(calls: PromptCalls, path: string): Promise<string> {
  return calls.either(
    () => readFileSync(path, 'utf8'),
    () => readFile(path, 'utf8'),
  );
}

function writeSmall(calls: PromptCalls, path: string, text: string): Promise<void> {
  return calls.either(
    () => {
      writeFileSync(path, text);
    },
    () => writeFile(path, text),
  );
}
