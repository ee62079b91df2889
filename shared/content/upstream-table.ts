import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import type { Clock } from '../lifecycle/clock.ts';
import {
  upstreamInstanceKey,
  upstreamInstancesFolder,
  upstreamKey,
  upstreamsFolder,
} from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { parseRecord } from './record-json.ts';
import type { UpstreamEntry } from './upstream-entry.ts';

const entrySchema = z.object({
  schemaVersion: z.literal(1),
  project: z.string(),
  url: z.string(),
  hosts: z.array(z.string()),
});
const instanceSchema = z.object({
  schemaVersion: z.literal(1),
  url: z.string(),
  seenAt: z.iso.datetime(),
});

/** A mirror that has not shown itself for this long is not live any more. */
const LIVE_MS = 90_000;
const HEARTBEAT_MS = 30_000;
/** How old the push service's copy of the published table may be. */
const REFRESH_MS = 5_000;

const toBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** Another mirror over the same store means another registry by the same project. */
export class UpstreamConflictError extends Error {
  override readonly name = 'UpstreamConflictError';
}

/** The upstreams that mirrors over this store have published, and the configured one. */
export class UpstreamTable {
  readonly #records: RecordStore;
  readonly #configured: UpstreamEntry;
  readonly #clock: Clock;
  #entries: readonly UpstreamEntry[];
  #readAt = -Infinity;

  constructor(records: RecordStore, configured: UpstreamEntry, clock: Clock) {
    this.#records = records;
    this.#configured = configured;
    this.#clock = clock;
    this.#entries = [configured];
  }

  /** At most five seconds old. What a mirror has published wins over what this process was configured with. */
  async entries(signal: AbortSignal): Promise<readonly UpstreamEntry[]> {
    if (this.#clock.monotonicMs() - this.#readAt < REFRESH_MS) return this.#entries;
    const published: UpstreamEntry[] = [];
    for (const project of await publishedProjects(this.#records, signal)) {
      const bytes = await this.#records.get(upstreamKey(project), signal);
      const entry = bytes && parseRecord(entrySchema, bytes);
      if (entry) published.push({ project: entry.project, url: entry.url, hosts: entry.hosts });
    }
    const isPublished = published.some((entry) => entry.project === this.#configured.project);
    this.#entries = isPublished ? published : [...published, this.#configured];
    this.#readAt = this.#clock.monotonicMs();
    return this.#entries;
  }
}

/** The projects of the upstreams that mirrors over this store have ever published. */
export async function publishedProjects(
  records: RecordStore,
  signal: AbortSignal,
): Promise<string[]> {
  const children = await records.list(upstreamsFolder, {}, signal);
  return children
    .filter(({ name, isFolder }) => !isFolder && name.endsWith('.json'))
    .map(({ name }) => name.slice(0, -'.json'.length));
}

/**
 * Publishes a mirror's upstream so that the push service refuses its names, and keeps showing that this mirror lives
 * until `shutdown`. Throws UpstreamConflictError when a live mirror published another URL for the same project.
 * Returns the function that withdraws the sign of life at a clean end.
 */
export async function publishUpstream(
  records: RecordStore,
  entry: UpstreamEntry,
  clock: Clock,
  shutdown: AbortSignal,
): Promise<() => Promise<void>> {
  await refuseOtherUrl(records, entry, clock, shutdown);
  const { project, url, hosts } = entry;
  await records.put(
    upstreamKey(project),
    toBytes({ schemaVersion: 1, project, url, hosts }),
    shutdown,
  );

  const instance = upstreamInstanceKey(project, randomUUID());
  const showLife = (): Promise<void> =>
    records.put(
      instance,
      toBytes({ schemaVersion: 1, url, seenAt: clock.now().toISOString() }),
      shutdown,
    );
  await showLife();

  const heart = (async () => {
    for (;;) {
      try {
        await clock.sleep(HEARTBEAT_MS, shutdown);
      } catch {
        return;
      }
      // A missed beat only makes this mirror look gone to one that starts just then.
      await showLife().catch(() => undefined);
    }
  })();
  return async () => {
    await heart;
    await records.delete(instance, AbortSignal.timeout(5_000)).catch(() => undefined);
  };
}

async function refuseOtherUrl(
  records: RecordStore,
  entry: UpstreamEntry,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const folder = upstreamInstancesFolder(entry.project);
  for (const child of await records.list(folder, {}, signal)) {
    const key = `${folder}/${child.name}`;
    const bytes = await records.get(key, signal);
    const other = bytes && parseRecord(instanceSchema, bytes);
    if (!other) continue;
    const age = clock.now().getTime() - Date.parse(other.seenAt);
    if (age > LIVE_MS) await records.delete(key, signal);
    else if (other.url !== entry.url) {
      throw new UpstreamConflictError(
        `a running mirror over this store has published ${other.url} for the project "${entry.project}", ` +
          `but UPSTREAM_URL here is ${entry.url}: use the same URL, or stop that mirror and wait ${LIVE_MS / 1000} seconds`,
      );
    }
  }
}
