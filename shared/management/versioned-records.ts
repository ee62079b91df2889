import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import type { Leases } from '../index/ports.ts';
import { crashPoint } from '../lifecycle/crash-point.ts';
import { RegistryError, registryError } from '../oci/errors.ts';
import { StorageError } from '../storage/errors.ts';
import type { ExclusiveRecords } from '../storage/exclusive-records.ts';
import { changeKey, changesFolder, changeRevision } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';

/** How long a change waits for another one of the same record, where that takes a lease. */
const LEASE_WAIT_MS = 5_000;
/** How often a change begins again when others changed the record in between. */
const CHANGE_TRIES = 20;
/** How often the newest change may be replaced while it is being read. */
const READ_TRIES = 20;

/** What is kept of a record beside its own fields: how often it was changed. Absent: never since it was made. */
export interface Revised {
  readonly revision?: number;
}

/** A record as it is now. The revision goes on counting when the record is deleted. */
export interface Versioned<Value> {
  readonly value: Value | undefined;
  readonly revision: number;
}

/** Where records of one kind stand for all readers. */
export interface RecordPlace<Value extends Revised> {
  /** The first part of the keys under which changes are agreed upon. */
  readonly kind: string;
  readonly schema: z.ZodType<Value>;
  readonly get: (name: string, signal: AbortSignal) => Promise<Value | undefined>;
  readonly put: (name: string, value: Value, signal: AbortSignal) => Promise<void>;
  readonly remove: (name: string, signal: AbortSignal) => Promise<void>;
}

export interface VersionedRecordsDependencies {
  readonly records: RecordStore;
  readonly exclusive: ExclusiveRecords;
  readonly leases: Leases;
}

interface Claim<Value> {
  readonly revision: number;
  /** Tells a writer whose answer was lost that the change is his. */
  readonly token: string;
  /** Null: the record is deleted. */
  readonly value: Value | null;
}

/**
 * Records that many processes change and none loses the other's change. Revision n+1 is whatever the first writer put
 * under its number: a record of its own, `twinport/v1/changes/<kind>/<name>/<n+1>.json`, of which the store lets one
 * writer make the first. That is the commit; then the record that everybody reads is replaced. A writer that died in
 * between is completed by whoever reads the record to change it.
 *
 * Where the store lets several writers win, the number is taken under a lease of all processes (from Redis) which is
 * looked at once more before what readers see is replaced. Where there is neither, a change is UNAVAILABLE (503).
 */
export class VersionedRecords<Value extends Revised> {
  readonly #deps: VersionedRecordsDependencies;
  readonly #place: RecordPlace<Value>;
  readonly #claimSchema: z.ZodType<Claim<Value>>;

  constructor(deps: VersionedRecordsDependencies, place: RecordPlace<Value>) {
    this.#deps = deps;
    this.#place = place;
    this.#claimSchema = z.object({
      schemaVersion: z.literal(1),
      revision: z.number().int().positive(),
      token: z.string(),
      value: place.schema.nullable(),
    });
  }

  /** The record after every change that was committed; completes one whose writer died. */
  async read(name: string, signal: AbortSignal): Promise<Versioned<Value>> {
    const [current, newest] = await Promise.all([
      this.#place.get(name, signal),
      this.#newest(name, signal),
    ]);
    const revision = current?.revision ?? 0;
    if (!newest || newest.revision <= revision) return { value: current, revision };
    // What was made plainly after a deletion (a project by a push to its name) carries no number.
    const isMadeAnew = newest.value === null && current?.revision === undefined;
    if (!isMadeAnew) await this.#show(name, newest, signal);
    return { value: isMadeAnew ? current : (newest.value ?? undefined), revision: newest.revision };
  }

  /**
   * Replaces the record (undefined: deletes it) when it still has the revision; false when it has not. When it
   * resolves the change is durable. Throws UNAVAILABLE where a change cannot be made safely.
   */
  async write(
    name: string,
    value: Value | undefined,
    revision: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    if ((await this.read(name, signal)).revision !== revision) return false;
    const next = revision + 1;
    const claim: Claim<Value> = {
      revision: next,
      token: randomUUID(),
      value: value ? { ...value, revision: next } : null,
    };
    if (await this.#deps.exclusive.isReliable(signal)) {
      const isOurs =
        (await this.#deps.exclusive.create(this.#key(name, next), toBytes(claim), signal)) ||
        // A request that was sent again, since its answer was lost, meets what it made itself.
        (await this.#claim(name, next, signal))?.token === claim.token;
      return isOurs && (await this.#complete(name, claim, signal));
    }
    return await this.#writeWithLease(name, claim, signal);
  }

  /**
   * Changes the record to what `next` makes of it as it is, called again when another change came in between; undefined
   * deletes it. Resolves with what the record is now. What `next` throws ends it with nothing changed.
   */
  async change(
    name: string,
    next: (current: Value | undefined) => Value | undefined,
    signal: AbortSignal,
  ): Promise<Value | undefined> {
    for (let attempt = 0; attempt < CHANGE_TRIES; attempt += 1) {
      const { value, revision } = await this.read(name, signal);
      const wanted = next(value);
      if (wanted === value) return value;
      if (await this.write(name, wanted, revision, signal)) {
        return wanted && { ...wanted, revision: revision + 1 };
      }
    }
    throw registryError('UNAVAILABLE', {
      message: 'others are changing the same record, try again',
      headers: { 'Retry-After': '1' },
    });
  }

  async #writeWithLease(name: string, claim: Claim<Value>, signal: AbortSignal): Promise<boolean> {
    const { leases, records } = this.#deps;
    const leaseName = `change:${this.#place.kind}:${name}`;
    const lease = await leases.acquire(leaseName, LEASE_WAIT_MS, signal, { claim: claim.token });
    if (!lease) throw unsafe('another process is changing the same record');
    try {
      if (lease.reach !== 'store') {
        throw unsafe('the store lets several writers win and there is no Redis between them');
      }
      const held = AbortSignal.any([signal, lease.lost]);
      const requireHeld = async (): Promise<void> => {
        if (lease.lost.aborted || (await leases.holder(leaseName)) !== claim.token) {
          throw unsafe('the lease on the record was lost');
        }
      };
      if ((await this.read(name, held)).revision !== claim.revision - 1) return false;
      await requireHeld();
      await records.put(this.#key(name, claim.revision), toBytes(claim), held);
      await requireHeld();
      return await this.#complete(name, claim, held);
    } catch (error) {
      if (!lease.lost.aborted || error instanceof RegistryError) throw error;
      throw unsafe('the lease on the record was lost', error);
    } finally {
      await lease.release();
    }
  }

  /** Shows a change that is ours. False when it turns out that others had gone further than we knew. */
  async #complete(name: string, claim: Claim<Value>, signal: AbortSignal): Promise<boolean> {
    crashPoint('change.claimed');
    const known = await this.#revisions(name, signal);
    const isOurs = !known.some((revision) => revision > claim.revision);
    if (!isOurs) {
      // Its number was free because it is an old one that had been tidied up.
      await this.#deps.records.delete(this.#key(name, claim.revision), signal);
      return false;
    }
    await this.#show(name, claim, signal);
    // Somebody who went on from our change may have shown his before ours.
    const after = await this.#newest(name, signal);
    if (after && after.revision > claim.revision) await this.#show(name, after, signal);
    for (const revision of known.filter((old) => old < claim.revision)) {
      await this.#deps.records.delete(this.#key(name, revision), signal);
    }
    return true;
  }

  async #show(name: string, { value }: Claim<Value>, signal: AbortSignal): Promise<void> {
    if (value === null) await this.#place.remove(name, signal);
    else await this.#place.put(name, value, signal);
  }

  async #revisions(name: string, signal: AbortSignal): Promise<number[]> {
    const folder = changesFolder(this.#place.kind, name);
    const children = await this.#deps.records.list(folder, {}, signal);
    return children
      .filter(({ isFolder }) => !isFolder)
      .map((child) => changeRevision(child.name))
      .filter((revision) => revision !== undefined);
  }

  async #newest(name: string, signal: AbortSignal): Promise<Claim<Value> | undefined> {
    for (let attempt = 0; attempt < READ_TRIES; attempt += 1) {
      const revisions = await this.#revisions(name, signal);
      if (revisions.length === 0) return undefined;
      const claim = await this.#claim(name, Math.max(...revisions), signal);
      // Without one a newer has taken its place since the listing.
      if (claim) return claim;
    }
    throw new StorageError('change.read', `the changes of ${name} vanish while they are read`);
  }

  async #claim(
    name: string,
    revision: number,
    signal: AbortSignal,
  ): Promise<Claim<Value> | undefined> {
    const key = this.#key(name, revision);
    const bytes = await this.#deps.records.get(key, signal);
    if (!bytes) return undefined;
    try {
      return this.#claimSchema.parse(JSON.parse(bytes.toString('utf8')));
    } catch (cause) {
      throw new StorageError('change.read', `the record ${key} cannot be read`, cause);
    }
  }

  #key(name: string, revision: number): string {
    return changeKey(this.#place.kind, name, revision);
  }
}

const toBytes = (claim: Claim<unknown>): Buffer =>
  Buffer.from(JSON.stringify({ schemaVersion: 1, ...claim }));

const unsafe = (why: string, cause?: unknown): RegistryError =>
  registryError('UNAVAILABLE', {
    message: `nothing was changed, since it cannot be done safely now: ${why}`,
    headers: { 'Retry-After': '5' },
    cause,
  });
