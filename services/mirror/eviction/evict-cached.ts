import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import type { ManifestStore } from '../../../shared/content/manifest-store.ts';
import { parseRecord } from '../../../shared/content/record-json.ts';
import { readLastUse } from '../../../shared/content/last-use.ts';
import {
  removeBlobs,
  type RemoveBlobsOptions,
} from '../../../shared/content/removal/remove-blobs.ts';
import type { Log } from '../../../shared/observability/observer.ts';
import type { RegistryIndex } from '../../../shared/index/ports.ts';
import { mapBounded } from '../../../shared/index/store/map-bounded.ts';
import { crashPoint } from '../../../shared/lifecycle/crash-point.ts';
import { type Digest, parseDigest } from '../../../shared/oci/digest.ts';
import { evictionFolder, evictionKey } from '../../../shared/storage/object-keys.ts';
import { CacheLedger } from './cache-ledger.ts';
import type { CachedUnit, Holdings } from './cache-survey.ts';
import { laterNeeds } from './later-needs.ts';

export interface EvictCachedOptions extends RemoveBlobsOptions {
  /** As all processes see it. */
  readonly index: Pick<RegistryIndex, 'members' | 'origins'>;
  readonly manifests: ManifestStore;
}

export interface Evicted {
  readonly images: number;
  readonly blobs: number;
  readonly bytes: number;
}

/** Digests that lose links before the next wait. */
const BATCH = 3_000;
/** Images of a repository that lose their tags together: for each such group all its tags are read. */
const TOGETHER = 100;
/** A run that left its record this long ago is dead: nothing of it is still to come. */
const LEFT_MS = 60 * 60 * 1000;

const schema = z.object({
  schemaVersion: z.literal(1),
  at: z.iso.datetime(),
  digests: z.array(z.string()),
});

/**
 * Evicts the units in their order: tags, manifest and links of each, then the bytes that nobody links any more. What
 * was used after `usedBefore` in the meantime stays. Before links go, the store has a record of the digests, so that
 * the next run finds the bytes that one that died has left.
 */
export async function evictCached(
  units: readonly CachedUnit[],
  context: {
    readonly holdings: Holdings;
    readonly all: readonly CachedUnit[];
    readonly usedBefore: Date;
  },
  options: EvictCachedOptions,
  signal: AbortSignal,
): Promise<Evicted> {
  const ledger = new CacheLedger(context.holdings, context.all);
  const left = new Set(context.all);
  let evicted: Evicted = { images: 0, blobs: 0, bytes: 0 };
  for (const batch of batches(units)) {
    const digests = [...new Set(batch.flatMap(({ needs }) => needs))];
    const key = evictionKey(randomUUID());
    const at = options.clock.now().toISOString();
    const record = Buffer.from(JSON.stringify({ schemaVersion: 1, at, digests }));
    await options.records.put(key, record, signal);
    crashPoint('eviction.recorded');
    const images = await unlink(batch, { ...context, ledger, left }, options, signal);
    crashPoint('eviction.unlinked');
    const { removed, bytes, unsure } = await removeBlobs(digests, options, signal);
    // Else the record stays, and a later run looks again.
    if (unsure.length === 0) await options.records.delete(key, signal);
    evicted = {
      images: evicted.images + images,
      blobs: evicted.blobs + removed.length,
      bytes: evicted.bytes + bytes,
    };
  }
  return evicted;
}

/**
 * Removes what other runs have left without links. Those that go on lose nothing by it; so their records stay until they
 * are surely dead, and nobody needs to tell the one from the other.
 */
export async function finishOtherRuns(
  options: RemoveBlobsOptions & { readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  const { records, blobs, clock, log } = options;
  const dead: string[] = [];
  const left = new Set<Digest>();
  for (const { name } of await records.list(evictionFolder, {}, signal)) {
    const key = evictionKey(name.replace(/\.json$/, ''));
    const bytes = await records.get(key, signal);
    if (!bytes) continue;
    const record = parseRecord(schema, bytes);
    if (!record) {
      log.warn(
        { operation: 'cache.evict', key },
        'the record of an eviction cannot be read: bytes that it left without links may stay',
      );
      continue;
    }
    for (const digest of record.digests.map(parseDigest)) if (digest) left.add(digest);
    if (clock.now().getTime() - Date.parse(record.at) >= LEFT_MS) dead.push(key);
  }
  const stored = await mapBounded([...left], async (digest) =>
    (await blobs.stat(digest, signal)) ? digest : undefined,
  );
  const there = stored.filter((digest) => digest !== undefined);
  const { unsure } = await removeBlobs(there, options, signal);
  if (unsure.length > 0) return;
  for (const key of dead) await records.delete(key, signal);
}

/** Returns how many images went. */
async function unlink(
  units: readonly CachedUnit[],
  context: {
    readonly ledger: CacheLedger;
    /** What the survey found and nobody has evicted yet. */
    readonly left: Set<CachedUnit>;
    readonly usedBefore: Date;
  },
  options: EvictCachedOptions,
  signal: AbortSignal,
): Promise<number> {
  const { ledger, left, usedBefore } = context;
  const { records, index, manifests } = options;
  let images = 0;
  for (const [repository, own] of Map.groupBy(units, (unit) => unit.repository)) {
    // Pushed content is never evicted, also where a mark went after the survey.
    if (!(await index.origins.get(repository, signal))) continue;
    const lastUse = await readLastUse(records, repository, signal);
    const surveyed = [...left].filter((unit) => unit.repository === repository);
    const known = new Set(surveyed.map(({ digest }) => digest));
    const later = await laterNeeds(repository, known, options, signal);
    const going = own.filter((unit) => (lastUse.get(unit.digest) ?? unit.lastUsed) < usedBefore);
    for (let from = 0; from < going.length; from += TOGETHER) {
      const some = going.slice(from, from + TOGETHER);
      const unneeded = some.flatMap((unit) => {
        left.delete(unit);
        return ledger.evict(unit).filter((digest) => !later.has(digest));
      });
      const digests = some.flatMap(({ kind, digest }) => (kind === 'image' ? [digest] : []));
      await manifests.deleteAll(repository, digests, signal);
      images += digests.length;
      await mapBounded(unneeded, (digest) =>
        index.members.remove(repository, 'blob', digest, signal),
      );
    }
  }
  return images;
}

function* batches(units: readonly CachedUnit[]): Generator<CachedUnit[]> {
  let batch: CachedUnit[] = [];
  const digests = new Set<Digest>();
  for (const unit of units) {
    batch.push(unit);
    for (const digest of unit.needs) digests.add(digest);
    if (digests.size < BATCH) continue;
    yield batch;
    batch = [];
    digests.clear();
  }
  if (batch.length > 0) yield batch;
}
