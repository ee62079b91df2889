import { randomUUID } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { SingleFlight, waitFor } from '../../concurrency/single-flight.ts';
import { projectIdOf, type ProjectRecord, type RegistryIndex } from '../../index/ports.ts';
import type {
  CountedBlob,
  CountedProject,
  Room,
  RoomRequest,
  UsageLedger,
} from '../../index/usage-ledger.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { Log } from '../../observability/observer.ts';
import type { Digest } from '../../oci/digest.ts';
import { RegistryError, registryError } from '../../oci/errors.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import { type CountDependencies, countProject } from './count-project.ts';
import type { StoreUsageLedger } from './store-usage-ledger.ts';

/** How often projects with a quota are counted anew, for what no push told. */
const RECOUNT_MS = 60 * 60 * 1000;
/** How soon after a delete. */
const DUE_MS = 5_000;
/** Nobody is refused by a count that is older, unless by one that began for him. */
const FRESH_MS = 60_000;
const COUNT_WAIT_MS = 30_000;
const NOTE_MS = 5_000;
const COUNTED_HINT = 'quotas-counted';
const MAX_SIZES = 100_000;
const COLD_TRIES = 4;
const COLD: Room = { kind: 'cold' };
const UNREACHABLE: Room = { kind: 'unreachable' };

export interface ProjectQuotasDependencies {
  readonly records: RecordStore;
  readonly blobs: Pick<BlobStore, 'stat'>;
  readonly index: Pick<RegistryIndex, 'origins' | 'leases' | 'hints' | 'projects'>;
  /** In Redis; undefined without one. */
  readonly sharedLedger?: UsageLedger | undefined;
  /** In the store; undefined: without the other one pushes to projects with a quota are refused. */
  readonly storeLedger?: StoreUsageLedger | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifetime: AbortSignal;
}

/**
 * Holds projects against their quotas. Projects without one cost nothing. What a project takes is counted once for each
 * distinct blob, manifests included, in a ledger that pushes reserve their room in before they store anything, and that
 * is counted again from the links of the store: when it is not known (Redis was flushed), after deletes, before anybody
 * is refused by an old count, and every hour.
 */
export class ProjectQuotas {
  readonly #deps: ProjectQuotasDependencies;
  readonly #counts = new SingleFlight<boolean>();
  readonly #countedAtMs = new Map<string, number>();
  readonly #due = new Map<string, CountedProject>();
  /** Projects to which pushes were counted beside Redis, which does not know of them. */
  readonly #beside = new Set<string>();
  readonly #looks = new SingleFlight<number>();
  readonly #looked = new LRUCache<string, number>({ max: 1_000, ttl: FRESH_MS });
  /** Made when there is something to count. */
  #sizes: LRUCache<Digest, number> | undefined;

  constructor(deps: ProjectQuotasDependencies) {
    this.#deps = deps;
  }

  /**
   * Does what makes the blob belong to the project, with room reserved for it. Throws DENIED, with nothing done, where
   * it does not fit, and UNAVAILABLE where nobody can tell.
   */
  async during<Result>(
    project: ProjectRecord,
    blob: CountedBlob,
    signal: AbortSignal,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const { name, quotaBytes } = project;
    if (quotaBytes === undefined) return await work();
    const counted = { name, id: projectIdOf(project) };
    const request = { blob, quotaBytes, token: randomUUID() };
    const ledger = await this.#reserve(counted, request, signal);
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      // What failed at the store may have taken effect.
      if (!(error instanceof RegistryError)) this.#due.set(name, counted);
      await ledger.release(counted, request, AbortSignal.timeout(NOTE_MS)).catch(() => undefined);
      throw error;
    }
    const isNoted = ledger.settle(counted, blob, AbortSignal.timeout(NOTE_MS));
    if (!(await isNoted.catch(() => false))) this.#due.set(name, counted);
    return result;
  }

  /** What the project takes; without a quota, or before the first push that is held against it, as of the last minute. */
  async usedBytes(project: ProjectRecord, signal: AbortSignal): Promise<number> {
    const { sharedLedger, storeLedger } = this.#deps;
    const counted = { name: project.name, id: projectIdOf(project) };
    const isKept = project.quotaBytes !== undefined && !this.#beside.has(counted.name);
    const kept = isKept
      ? ((await sharedLedger?.total(counted, signal)) ??
        (await storeLedger?.total(counted, signal)))
      : undefined;
    return kept ?? (await waitFor(this.#look(counted), signal));
  }

  /** Something was deleted: the project is counted again soon. */
  changed(project: ProjectRecord | undefined): void {
    if (project?.quotaBytes === undefined) return;
    this.#due.set(project.name, { name: project.name, id: projectIdOf(project) });
  }

  /** Counts in the background until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    let allAtMs = clock.monotonicMs() + RECOUNT_MS;
    for (;;) {
      try {
        await clock.sleep(DUE_MS, signal);
      } catch {
        return;
      }
      if (clock.monotonicMs() >= allAtMs) {
        await this.#markAll(signal);
        allAtMs = clock.monotonicMs() + RECOUNT_MS;
      }
      for (const [name, project] of [...this.#due]) {
        this.#due.delete(name);
        await this.#countInTurn(project, signal);
      }
    }
  }

  async #reserve(
    project: CountedProject,
    request: RoomRequest,
    signal: AbortSignal,
  ): Promise<UsageLedger> {
    const { storeLedger, sharedLedger, clock } = this.#deps;
    const sinceMs = clock.monotonicMs();
    for (let attempt = 0; attempt < COLD_TRIES; attempt += 1) {
      const shared = await this.#shared(project, request, sinceMs, signal);
      if (sharedLedger && shared.kind !== 'unreachable') {
        if (shared.kind === 'held') return sharedLedger;
        if (shared.kind === 'over') throw overQuota(project, request, shared.usedBytes);
        continue;
      }
      if (!storeLedger) break;
      const answer = await storeLedger.reserve(project, request, signal);
      const stored = this.#believed(project, answer, sinceMs);
      if (stored.kind === 'over') throw overQuota(project, request, stored.usedBytes);
      if (stored.kind === 'held') {
        if (sharedLedger) this.#beside.add(project.name);
        return storeLedger;
      }
      await waitFor(this.#count(project, storeLedger), signal);
    }
    throw registryError('UNAVAILABLE', {
      message: `the project ${project.name} has a quota, and what it takes cannot be counted now`,
      headers: { 'Retry-After': '5' },
    });
  }

  /** The room in Redis; 'cold' when it has just been counted there, so that it is asked again. */
  async #shared(
    project: CountedProject,
    request: RoomRequest,
    sinceMs: number,
    signal: AbortSignal,
  ): Promise<Room> {
    const { sharedLedger, storeLedger } = this.#deps;
    if (!sharedLedger) return UNREACHABLE;
    const isBeside = this.#beside.has(project.name);
    const answer = isBeside ? COLD : await sharedLedger.reserve(project, request, signal);
    const room = this.#believed(project, answer, sinceMs);
    if (room.kind === 'cold') {
      if (!(await waitFor(this.#count(project, sharedLedger), signal))) return UNREACHABLE;
      this.#beside.delete(project.name);
    }
    if (room.kind !== 'unreachable') storeLedger?.distrust(project);
    return room;
  }

  /**
   * Nobody is refused by an old count: it is made again first. One that began after he asked is good for him, however
   * long it took and whatever was deleted meanwhile: else nobody would get an answer in a large or busy project.
   */
  #believed({ name }: CountedProject, room: Room, sinceMs: number): Room {
    if (room.kind !== 'over') return room;
    const countedAtMs = this.#countedAtMs.get(name) ?? -Infinity;
    if (countedAtMs >= sinceMs) return room;
    const isFresh = this.#deps.clock.monotonicMs() - countedAtMs < FRESH_MS;
    return isFresh && !this.#due.has(name) ? room : COLD;
  }

  /** Calls at the same time share one count. False: the ledger could not be reached. */
  #count(project: CountedProject, ledger: UsageLedger): Promise<boolean> {
    const { lifetime, index, clock, storeLedger } = this.#deps;
    const key = `${ledger === storeLedger ? 'store' : 'shared'}:${project.name}`;
    return this.#counts.run(key, async () => {
      // One process after the other: others find the project counted.
      const lease = await index.leases.acquire(`usage:${project.name}`, COUNT_WAIT_MS, lifetime);
      try {
        const startedAtMs = clock.monotonicMs();
        this.#due.delete(project.name);
        const isTaken = await ledger.recount(
          project,
          () => countProject(project.name, this.#counting(), lifetime),
          lifetime,
        );
        if (isTaken) this.#countedAtMs.set(project.name, startedAtMs);
        return isTaken;
      } finally {
        await lease?.release();
      }
    });
  }

  /** Counts for somebody who asks, and changes nothing by it. */
  #look({ name, id }: CountedProject): Promise<number> {
    const key = `${name}:${id}`;
    return this.#looks.run(key, async () => {
      const known = this.#looked.get(key);
      if (known !== undefined) return known;
      const sizes = await countProject(name, this.#counting(), this.#deps.lifetime);
      const bytes = [...sizes.values()].reduce((total, size) => total + size, 0);
      this.#looked.set(key, bytes);
      return bytes;
    });
  }

  #counting(): CountDependencies {
    const { index, records, blobs } = this.#deps;
    this.#sizes ??= new LRUCache({ max: MAX_SIZES });
    return { records, blobs, origins: index.origins, sizes: this.#sizes };
  }

  async #countInTurn(project: CountedProject, signal: AbortSignal): Promise<void> {
    const { sharedLedger, storeLedger, log } = this.#deps;
    try {
      if (sharedLedger && (await this.#count(project, sharedLedger))) {
        this.#beside.delete(project.name);
        return;
      }
      if (storeLedger) await this.#count(project, storeLedger);
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ project: project.name, error }, 'what a project takes could not be counted');
    }
  }

  async #markAll(signal: AbortSignal): Promise<void> {
    const { index } = this.#deps;
    // One of all processes is enough.
    if ((await index.hints.get(COUNTED_HINT)) !== undefined) return;
    await index.hints.put(COUNTED_HINT, 'counted', RECOUNT_MS / 2);
    const all = await index.projects.list(signal).catch(() => []);
    for (const project of all) this.changed(project);
  }
}

const overQuota = (
  { name }: CountedProject,
  { blob, quotaBytes }: RoomRequest,
  usedBytes: number,
): Error =>
  registryError('DENIED', {
    message:
      `the project ${name} has a quota of ${quotaBytes} bytes and takes ${usedBytes} of them: ` +
      `${blob.size} more do not fit`,
    detail: { project: name, quotaBytes, usedBytes, neededBytes: blob.size },
  });
