import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import { multipartFolder, multipartOwnerKey } from '../object-keys.ts';
import { lingeringSignal } from './lingering-signal.ts';
import {
  abortMultipart,
  abortMultipartsOf,
  beginMultipart,
  type MultipartTarget,
} from './multipart-upload.ts';
import { sha256Of } from './payload-hash.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { cleanupSignal } from './s3-deadlines.ts';
import { listTree } from './s3-listing.ts';

const MAX_OWNER_BYTES = 64 * 1024;
/** How long an upload may take to begin when nobody wants it any more. */
const BEGIN_MS = 10_000;

const ownerSchema = z.object({
  schemaVersion: z.literal(1),
  key: z.string(),
  uploadId: z.string().optional(),
});

/** A multipart upload with its record in the store. */
export interface OwnedMultipart extends MultipartTarget {
  /** Drops the upload and its record. What fails is left to the reaper. */
  abort(): Promise<void>;
  /** The upload was completed: its record goes. What fails is left to the reaper. */
  release(): Promise<void>;
}

/**
 * Multipart uploads that make a blob without an upload session. A record `twinport/v1/multipart/<uuid>.json` names key
 * and upload from before its first part until it is completed or aborted, so that what a crash leaves is found.
 */
export class MultipartOwners {
  readonly #bucket: S3Bucket;

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
  }

  /** Not cut short when the signal aborts: only the reaper would find what had half begun. */
  async begin(operation: string, key: string, aborted: AbortSignal): Promise<OwnedMultipart> {
    aborted.throwIfAborted();
    using linger = lingeringSignal(aborted, BEGIN_MS);
    const { signal } = linger;
    const recordKey = multipartOwnerKey(randomUUID());
    await this.#record(operation, recordKey, { key }, signal);
    const { uploadId, isDoubtful } = await beginMultipart(this.#bucket, operation, key, signal);
    const target = { key, uploadId };
    try {
      await this.#record(operation, recordKey, target, signal);
    } catch (error) {
      await this.#quietly(() => abortMultipart(this.#bucket, operation, target, cleanupSignal()));
      throw error;
    }
    const release = (): Promise<void> =>
      this.#quietly(async () => {
        // The record of an upload that may have a twin stays: the reaper finds both by the key.
        if (!isDoubtful) await this.#bucket.delete(operation, recordKey, cleanupSignal());
      });
    return {
      ...target,
      release,
      abort: () =>
        this.#quietly(async () => {
          await abortMultipart(this.#bucket, operation, target, cleanupSignal());
          await release();
        }),
    };
  }

  /** Aborts what was begun before `before` and never finished. */
  async reap(before: Date, signal: AbortSignal): Promise<void> {
    const operation = 'multipart.reap';
    for await (const page of listTree(this.#bucket, operation, multipartFolder, signal)) {
      for (const { key, lastModified } of page) {
        if (lastModified < before) await this.#reapOne(operation, key, before, signal);
      }
    }
  }

  async #reapOne(
    operation: string,
    recordKey: string,
    before: Date,
    signal: AbortSignal,
  ): Promise<void> {
    const call = { operation, key: recordKey, signal };
    const bytes = await this.#bucket.get(call, MAX_OWNER_BYTES);
    if (bytes === undefined) return;
    const owner = parseOwner(bytes);
    // A newer replica's record is its own to tidy.
    if (!owner) return;
    const { key, uploadId } = owner;
    if (uploadId !== undefined) {
      await abortMultipart(this.#bucket, operation, { key, uploadId }, signal);
    }
    await abortMultipartsOf(this.#bucket, operation, key, before, signal);
    await this.#bucket.delete(operation, recordKey, signal);
  }

  async #record(
    operation: string,
    recordKey: string,
    owner: { readonly key: string; readonly uploadId?: string },
    signal: AbortSignal,
  ): Promise<void> {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 1, ...owner }));
    await this.#bucket.put({ operation, key: recordKey, signal }, bytes, await sha256Of(bytes));
  }

  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch {
      // The record is still there, so the reaper does it.
    }
  }
}

function parseOwner(bytes: Buffer): z.output<typeof ownerSchema> | undefined {
  try {
    return ownerSchema.safeParse(JSON.parse(bytes.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
