import {
  DeleteObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';

import pLimit from 'p-limit';

import type { ListOptions, RecordChild } from '../record-store.ts';
import { requireKey } from '../require-key.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { isUnsupported, S3StorageError } from './s3-errors.ts';

/** What S3 takes in one DeleteObjects request, and gives in one page. */
const PAGE = 1000;
/** So many objects are deleted by as many requests, which cost less than one that names them all. */
const FEW = 8;
const CONCURRENT_DELETES = 8;

export interface ListedObject {
  /** Relative to the root of the store. */
  readonly key: string;
  readonly lastModified: Date;
}

interface ListRequest {
  readonly operation: string;
  readonly folder: string;
  readonly isDeep: boolean;
  readonly pageSize: number;
  /** Only keys after this child of the folder. */
  readonly after?: string;
  readonly signal: AbortSignal;
}

async function* listPages(
  bucket: S3Bucket,
  { operation, folder, isDeep, pageSize, after = '', signal }: ListRequest,
): AsyncGenerator<ListObjectsV2CommandOutput> {
  const prefix = `${bucket.rootPrefix}${requireKey(folder)}/`;
  let token: string | undefined;
  do {
    const command = new ListObjectsV2Command({
      Bucket: bucket.name,
      Prefix: prefix,
      MaxKeys: pageSize,
      ...(isDeep ? {} : { Delimiter: '/' }),
      ...(after === '' ? {} : { StartAfter: prefix + after }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
    });
    const page = await bucket.tell({ operation, key: folder, signal, isSlow: true }, (options) =>
      bucket.client.send(command, options),
    );
    yield page;
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

/**
 * The immediate children of a folder by the bytes of their names. S3 sorts whole keys, where `a-b/` comes before `a/`,
 * and lists folders apart from objects, so all of it is merged here. Objects that stand for a folder are left out.
 */
export async function listChildren(
  bucket: S3Bucket,
  operation: string,
  folder: string,
  { limit, after = '' }: ListOptions,
  signal: AbortSignal,
): Promise<RecordChild[]> {
  const start = bucket.rootPrefix.length + folder.length + 1;
  const children = new Map<string, boolean>();
  const pageSize = Math.min(PAGE, Math.max(1, limit ?? PAGE));
  const request = { operation, folder, isDeep: false, pageSize, after, signal };
  for await (const page of listPages(bucket, request)) {
    for (const { Prefix } of page.CommonPrefixes ?? []) {
      if (Prefix !== undefined) children.set(Prefix.slice(start, -1), true);
    }
    for (const { Key } of page.Contents ?? []) {
      const name = Key?.slice(start) ?? '';
      // A store that lists from the beginning whatever it is asked.
      if (name <= after) continue;
      if (!children.has(name)) children.set(name, false);
    }
    // What stands for the folder itself, and a folder with the name that was asked to come before.
    children.delete('');
    children.delete(after);
    if (limit !== undefined && children.size >= limit) break;
  }
  return [...children]
    .map(([name, isFolder]) => ({ name, isFolder, bytes: Buffer.from(name) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ name, isFolder }) => ({ name, isFolder }));
}

/** The first objects, at most `max`, whose keys begin with `prefix`, in the order of their keys: one request. */
export async function listFirst(
  bucket: S3Bucket,
  operation: string,
  prefix: string,
  max: number,
  signal: AbortSignal,
): Promise<ListedObject[]> {
  const command = new ListObjectsV2Command({
    Bucket: bucket.name,
    Prefix: bucket.rootPrefix + requireKey(prefix),
    MaxKeys: max,
  });
  const page = await bucket.tell({ operation, key: prefix, signal }, (options) =>
    bucket.client.send(command, options),
  );
  return listedObjects(bucket, page);
}

/** Every object below a folder, one page at a time. */
export async function* listTree(
  bucket: S3Bucket,
  operation: string,
  folder: string,
  signal: AbortSignal,
): AsyncGenerator<ListedObject[]> {
  const request = { operation, folder, isDeep: true, pageSize: PAGE, signal };
  for await (const page of listPages(bucket, request)) {
    yield listedObjects(bucket, page);
  }
}

function listedObjects(bucket: S3Bucket, page: ListObjectsV2CommandOutput): ListedObject[] {
  return (page.Contents ?? []).flatMap(({ Key, LastModified }) =>
    Key === undefined
      ? []
      : [{ key: Key.slice(bucket.rootPrefix.length), lastModified: LastModified ?? new Date(0) }],
  );
}

/** Deletes objects by as few requests as the store allows; those that are gone already are no error. */
export async function deleteAll(
  bucket: S3Bucket,
  operation: string,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const one = pLimit(CONCURRENT_DELETES);
  for (let from = 0; from < keys.length; from += PAGE) {
    const batch = keys.slice(from, from + PAGE);
    const isFew = batch.length <= FEW;
    const rest = isFew ? batch : await deleteBatch(bucket, operation, batch, signal);
    await Promise.all(rest.map((key) => one(() => deleteKey(bucket, operation, key, signal))));
  }
}

/** Removes every object below the folder. */
export async function deleteTree(
  bucket: S3Bucket,
  operation: string,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  for await (const page of listTree(bucket, operation, folder, signal)) {
    const keys = page.map(({ key }) => key);
    await deleteAll(bucket, operation, keys, signal);
  }
}

/** Resolves to the keys that are still there. */
async function deleteBatch(
  bucket: S3Bucket,
  operation: string,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const command = new DeleteObjectsCommand({
    Bucket: bucket.name,
    Delete: { Quiet: true, Objects: keys.map((key) => ({ Key: bucket.rootPrefix + key })) },
  });
  const answer = await bucket.tell(
    { operation, key: keys[0] ?? '', signal, isSlow: true },
    (options) =>
      bucket.client.send(command, options).catch((error: unknown) => {
        if (isUnsupported(error)) return 'unsupported' as const;
        throw error;
      }),
  );
  if (answer === 'unsupported') return keys;
  return (answer.Errors ?? []).flatMap(({ Code, Key }) => {
    if (Code === 'NoSuchKey') return [];
    if (Key === undefined) {
      throw new S3StorageError(operation, `a deletion failed: ${Code ?? 'unknown'}`, true);
    }
    return [Key.slice(bucket.rootPrefix.length)];
  });
}

/** Keys from a listing may end in a slash (objects that stand for folders), which no key of ours does. */
async function deleteKey(
  bucket: S3Bucket,
  operation: string,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  if (!key.endsWith('/')) {
    await bucket.delete(operation, key, signal);
    return;
  }
  const rest = await deleteBatch(bucket, operation, [key], signal);
  if (rest.length > 0) throw new S3StorageError(operation, `${key}: could not be deleted`, true);
}
