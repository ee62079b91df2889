import { expect, test } from '@jest/globals';

import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { digestOfText, newRepository } from '../testing/index-names.ts';
import { MemoryRecordStore } from '../testing/memory-record-store.ts';
import { referrersOf } from '../testing/referrers-of.ts';
import { StoreReferrerIndex } from './store-referrer-index.ts';

const unending = new AbortController().signal;
const subject = digestOfText('subject');

/** Counts the records that are read, and how many of them at once. */
class CountedRecords extends MemoryRecordStore {
  reads = 0;
  mostAtOnce = 0;
  #atOnce = 0;

  override async get(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    this.reads += 1;
    this.#atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce);
    const bytes = await super.get(key, signal);
    this.#atOnce -= 1;
    return bytes;
  }
}

const referrer = (digest: Digest, annotations = {}): Descriptor => ({
  mediaType: 'a/b',
  digest,
  size: 1,
  annotations,
});

test('lists thousands of referrers of both algorithms in their order, and from any on', async () => {
  const records = new CountedRecords();
  const referrers = new StoreReferrerIndex(records);
  const repository = newRepository();
  const digests = Array.from({ length: 5_300 }, (_, i) =>
    digestOf(Buffer.from(`${i}`), i % 2 === 0 ? 'sha256' : 'sha512'),
  ).sort();
  for (const digest of digests) {
    await referrers.add(repository, subject, referrer(digest), unending);
  }
  const listed = await referrersOf({ referrers }, repository, subject);
  expect(listed.map(({ digest }) => digest)).toEqual(digests);
  const rest = await referrersOf({ referrers }, repository, subject, digests[5_100]);
  expect(rest.map(({ digest }) => digest)).toEqual(digests.slice(5_101));
});

test('reads no further than it is asked for, and large records one by one', async () => {
  const records = new CountedRecords();
  const referrers = new StoreReferrerIndex(records);
  const repository = newRepository();
  const text = 'x'.repeat(4_000_000);
  for (let i = 0; i < 30; i += 1) {
    await referrers.add(repository, subject, referrer(digestOfText(`${i}`), { text }), unending);
  }
  const batches: number[] = [];
  for await (const batch of referrers.list(repository, subject, undefined, unending)) {
    batches.push(batch.length);
    if (batches.length === 4) break;
  }
  expect(batches).toEqual([8, 1, 1, 1]);
  expect(records.reads).toBe(11);
  expect(records.mostAtOnce).toBe(8);
});
