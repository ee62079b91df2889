import { z } from 'zod';

import {
  ABANDONED_MS,
  type CountedBlob,
  type CountedProject,
  type Counting,
  type Room,
  type RoomRequest,
  type UsageLedger,
} from '../../index/usage-ledger.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { Digest } from '../../oci/digest.ts';
import { registryError } from '../../oci/errors.ts';
import { usageKey } from '../../storage/object-keys.ts';
import { recordPlace } from '../record-place.ts';
import { VersionedRecords, type VersionedRecordsDependencies } from '../versioned-records.ts';

/** A record of the store holds 4 MiB. */
const MAX_BLOBS = 35_000;

/** Size and revision of the record at which it was linked, or size, time and token of a push that has not ended. */
const entrySchema = z.union([
  z.tuple([z.number(), z.number()]),
  z.tuple([z.number(), z.number(), z.string()]),
]);
const schema = z.object({
  schemaVersion: z.literal(1),
  revision: z.number().int().nonnegative().exactOptional(),
  projectId: z.string(),
  blobs: z.record(z.string(), entrySchema),
});
type UsageRecord = z.infer<typeof schema>;
type Blobs = UsageRecord['blobs'];

/**
 * What projects take, in a record of the store for each: for registries without Redis, and while it is down. Each push
 * changes the record, so that it needs what every change needs (VersionedRecords): UNAVAILABLE where that is not there.
 * A record is believed from when this process counted the project until `distrust`.
 */
export class StoreUsageLedger implements UsageLedger {
  readonly #clock: Clock;
  readonly #versions: VersionedRecords<UsageRecord>;
  readonly #leases: VersionedRecordsDependencies['leases'];
  readonly #believed = new Map<string, string>();

  constructor(deps: VersionedRecordsDependencies & { readonly clock: Clock }) {
    this.#clock = deps.clock;
    this.#leases = deps.leases;
    this.#versions = new VersionedRecords(
      deps,
      recordPlace(deps.records, { kind: 'usage', schema, key: usageKey }),
    );
  }

  /** Another ledger counts the project now: what this one knows is soon wrong. */
  distrust({ name }: CountedProject): void {
    this.#believed.delete(name);
  }

  async total(project: CountedProject, signal: AbortSignal): Promise<number | undefined> {
    if (this.#believed.get(project.name) !== project.id) return undefined;
    const { value } = await this.#versions.read(project.name, signal);
    return value?.projectId === project.id ? totalOf(value.blobs) : undefined;
  }

  async reserve(project: CountedProject, request: RoomRequest, signal: AbortSignal): Promise<Room> {
    const { blob, quotaBytes, token } = request;
    const { digest, size } = blob;
    let room: Room = { kind: 'cold' };
    if (this.#believed.get(project.name) !== project.id) return room;
    await this.#change(
      project,
      (record) => {
        room = { kind: 'cold' };
        if (record?.projectId !== project.id) return record;
        const known = record.blobs[digest];
        const usedBytes = known ? 0 : totalOf(record.blobs);
        if (!known && usedBytes + size > quotaBytes) {
          room = { kind: 'over', usedBytes };
          return record;
        }
        room = { kind: 'held' };
        const entry: Blobs[string] =
          known?.length === 2 ? [known[0], nextRevision(record)] : [size, this.#nowMs(), token];
        return { ...record, blobs: { ...record.blobs, [digest]: entry } };
      },
      signal,
    );
    return room;
  }

  async settle(
    project: CountedProject,
    { digest, size }: CountedBlob,
    signal: AbortSignal,
  ): Promise<boolean> {
    let isNoted = false;
    await this.#change(
      project,
      (record) => {
        isNoted = record?.projectId === project.id;
        if (!record || !isNoted) return record;
        if (record.blobs[digest]?.length === 2) return record;
        const entry: Blobs[string] = [size, nextRevision(record)];
        return { ...record, blobs: { ...record.blobs, [digest]: entry } };
      },
      signal,
    );
    return isNoted;
  }

  async release(project: CountedProject, request: RoomRequest, signal: AbortSignal): Promise<void> {
    const { digest } = request.blob;
    await this.#change(
      project,
      (record) => {
        if (record?.projectId !== project.id) return record;
        const { [digest]: entry, ...others } = record.blobs;
        return entry?.[2] === request.token ? { ...record, blobs: others } : record;
      },
      signal,
    );
  }

  async recount(project: CountedProject, count: Counting, signal: AbortSignal): Promise<boolean> {
    const { revision } = await this.#versions.read(project.name, signal);
    const abandonedMs = this.#nowMs() - ABANDONED_MS;
    const found = await count();
    await this.#change(
      project,
      (record) => {
        const known = record?.projectId === project.id ? record.blobs : {};
        // What was linked before the count began and was not found is gone.
        const kept = Object.entries(known).filter(([digest, [, at, token]]) =>
          token === undefined ? found.has(digest as Digest) || at > revision : at > abandonedMs,
        );
        const next = nextRevision(record);
        const fresh = [...found].map(([digest, size]): [string, Blobs[string]] => [
          digest,
          [size, next],
        ]);
        const blobs = Object.fromEntries([...fresh, ...kept]);
        requireRoom(project, blobs);
        return { ...record, schemaVersion: 1, projectId: project.id, blobs };
      },
      signal,
    );
    this.#believed.set(project.name, project.id);
    return true;
  }

  /** One at a time in this process: several would only refuse each other. */
  async #change(
    { name }: CountedProject,
    next: (record: UsageRecord | undefined) => UsageRecord | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const lease = await this.#leases.acquire(`usage-record:${name}`, 30_000, signal);
    if (!lease) throw busy(name);
    try {
      await this.#versions.change(name, next, signal);
    } finally {
      await lease.release();
    }
  }

  #nowMs(): number {
    return this.#clock.now().getTime();
  }
}

const nextRevision = (record: UsageRecord | undefined): number => (record?.revision ?? 0) + 1;

const totalOf = (blobs: Blobs): number =>
  Object.values(blobs).reduce((total, [size]) => total + size, 0);

function requireRoom({ name }: CountedProject, blobs: Blobs): void {
  if (Object.keys(blobs).length <= MAX_BLOBS) return;
  throw registryError('UNAVAILABLE', {
    message: `the project ${name} has a quota and more than ${MAX_BLOBS} blobs: these are counted in Redis alone`,
  });
}

const busy = (name: string): Error =>
  registryError('UNAVAILABLE', {
    message: `many push to the project ${name} at once, try again`,
    headers: { 'Retry-After': '1' },
  });
