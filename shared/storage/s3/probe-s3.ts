import { randomUUID } from 'node:crypto';

import type { S3StorageConfig } from '../../config/config.ts';
import { probeFolder, probeKey } from '../object-keys.ts';
import { runTrials, type StoreFindings, type Trial } from '../store-findings.ts';
import { abortMultipartsOf } from './multipart-upload.ts';
import { conditionTrials } from './probe-conditions.ts';
import { copyTrials, PROBE_UPLOADS } from './probe-copies.ts';
import { listingTrials } from './probe-listings.ts';
import { lingeringSignal } from './lingering-signal.ts';
import { ProbeObjects } from './probe-objects.ts';
import { S3Bucket } from './s3-bucket.ts';
import type { StoreClient } from './s3-client.ts';
import { cleanupSignal, type S3Deadlines } from './s3-deadlines.ts';
import { isRefused } from './s3-errors.ts';
import { deleteTree, listChildren } from './s3-listing.ts';

const RUN = /^run-(\d{13})-/;
/** A probe that began so long ago has ended, in order or by a crash. */
const STALE_MS = 60 * 60 * 1000;
/** How long a write that is under way is waited for when the probe is aborted. */
const LINGER_MS = 2_000;
const OPERATION = 'store.probe';
/** As long as the longest key below the root: a long name, a long tag and a sha512 digest, with some room. */
const LONGEST_KEY_BYTES = 720;

/**
 * Finds out what the bucket guarantees, by a short trial under a folder of its own that is removed again; any number of
 * processes may do it at once. Where the bucket cannot be written it says so and tries nothing. Rejects with a
 * StorageError only when the bucket does not answer at all.
 */
export async function probeS3(
  client: StoreClient,
  config: S3StorageConfig,
  options: { readonly now: Date; readonly signal: AbortSignal; readonly deadlines?: S3Deadlines },
): Promise<StoreFindings> {
  const { now, signal, deadlines } = options;
  const bucket = new S3Bucket(client, config, deadlines);
  const folder = probeKey(`run-${now.getTime()}-${randomUUID()}`);
  using lingering = lingeringSignal(signal, LINGER_MS);
  const objects = new ProbeObjects(bucket, folder, signal, lingering.signal);
  try {
    if (!(await isWritable(objects))) return { isWritable: false, findings: [] };
    const findings = await runTrials([
      ...objectTrials(objects),
      ...listingTrials(objects),
      ...conditionTrials(objects),
      ...copyTrials(objects),
    ]);
    return { isWritable: true, findings };
  } finally {
    await cleanUp(bucket, folder, now);
  }
}

async function isWritable(objects: ProbeObjects): Promise<boolean> {
  try {
    await objects.put('first', 'x');
    return true;
  } catch (error) {
    if (isRefused(error)) return false;
    throw error;
  }
}

/** What cannot be removed now is removed by a later start. */
async function cleanUp(bucket: S3Bucket, own: string, now: Date): Promise<void> {
  const signal = cleanupSignal();
  try {
    await deleteTree(bucket, OPERATION, own, signal);
    for (const { name } of await listChildren(bucket, OPERATION, probeFolder, {}, signal)) {
      const startedMs = Number(RUN.exec(name)?.[1] ?? Infinity);
      if (startedMs < now.getTime() - STALE_MS) {
        for (const upload of PROBE_UPLOADS) {
          const key = `${probeKey(name)}/${upload}`;
          await abortMultipartsOf(bucket, OPERATION, key, undefined, signal);
        }
        await deleteTree(bucket, OPERATION, probeKey(name), signal);
      }
    }
  } catch {
    // Nothing depends on it.
  }
}

function objectTrials(objects: ProbeObjects): Trial[] {
  return [
    {
      trait: 'read-after-write',
      run: async () => {
        for (const text of ['first', 'second']) {
          await objects.put('written', text);
          if ((await objects.get('written')) !== text) return false;
        }
        await objects.delete('written');
        return (await objects.get('written')) === undefined;
      },
    },
    {
      trait: 'delete-of-what-is-not-there',
      run: async () => {
        await objects.delete(`absent-${randomUUID()}`);
        return true;
      },
    },
    {
      trait: 'case-sensitive',
      run: async () => {
        await objects.put('Case', 'upper');
        await objects.put('case', 'lower');
        return (await objects.get('Case')) === 'upper';
      },
    },
    {
      trait: 'ranges',
      run: async () => {
        await objects.put('range', '0123456789');
        return (await objects.get('range', 'bytes=2-4')) === '234';
      },
    },
    {
      trait: 'long-keys',
      run: async () => {
        const missing = LONGEST_KEY_BYTES - objects.keyLength('');
        const name = `${'n'.repeat(199)}/`.repeat(Math.ceil(missing / 200)).slice(0, missing - 1);
        await objects.put(`${name}x`, 'long');
        return (await objects.get(`${name}x`)) === 'long';
      },
    },
  ];
}
