import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import type { Clock } from '../lifecycle/clock.ts';
import { mirrorKey, mirrorsFolder, upstreamKey, upstreamsFolder } from '../storage/object-keys.ts';
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
  upstreams: z.array(z.object({ project: z.string(), url: z.string() })),
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

/** The upstreams that mirrors over this store have published, and the configured ones. */
export class UpstreamTable {
  readonly #records: RecordStore;
  readonly #configured: readonly UpstreamEntry[];
  readonly #clock: Clock;
  #entries: readonly UpstreamEntry[];
  #readAt = -Infinity;

  constructor(records: RecordStore, configured: readonly UpstreamEntry[], clock: Clock) {
    this.#records = records;
    this.#configured = configured;
    this.#clock = clock;
    this.#entries = configured;
  }

  /** At most five seconds old. What a mirror has published wins over what this process was configured with. */
  async entries(signal: AbortSignal): Promise<readonly UpstreamEntry[]> {
    if (this.#clock.monotonicMs() - this.#readAt < REFRESH_MS) return this.#entries;
    const published = await publishedEntries(this.#records, signal);
    const names = new Set(published.flatMap(({ project, hosts }) => [project, ...hosts]));
    this.#entries = [
      ...published,
      ...this.#configured.filter(
        ({ project, hosts }) => ![project, ...hosts].some((name) => names.has(name)),
      ),
    ];
    this.#readAt = this.#clock.monotonicMs();
    return this.#entries;
  }
}

async function publishedEntries(
  records: RecordStore,
  signal: AbortSignal,
): Promise<UpstreamEntry[]> {
  const projects = await publishedProjects(records, signal);
  const entries = await Promise.all(
    projects.map(async (project) => {
      const bytes = await records.get(upstreamKey(project), signal);
      const entry = bytes && parseRecord(entrySchema, bytes);
      return entry && { project: entry.project, url: entry.url, hosts: entry.hosts };
    }),
  );
  return entries.filter((entry) => entry !== undefined);
}

/** Makes an upstream known to both services. */
export async function publishUpstream(
  records: RecordStore,
  { project, url, hosts }: UpstreamEntry,
  signal: AbortSignal,
): Promise<void> {
  await records.put(
    upstreamKey(project),
    toBytes({ schemaVersion: 1, project, url, hosts }),
    signal,
  );
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
 * Publishes a mirror's upstreams so that the push service refuses their names, and keeps showing that this mirror lives
 * until `shutdown`. Throws UpstreamConflictError when a live mirror published another URL for one of the projects.
 * Returns the function that withdraws the sign of life at a clean end.
 */
export async function publishUpstreams(
  records: RecordStore,
  entries: readonly UpstreamEntry[],
  clock: Clock,
  shutdown: AbortSignal,
): Promise<() => Promise<void>> {
  await refuseOtherUrls(records, entries, clock, shutdown);
  await publish(records, entries, shutdown);

  const instance = mirrorKey(randomUUID());
  const upstreams = entries.map(({ project, url }) => ({ project, url }));
  const showLife = (): Promise<void> =>
    records.put(
      instance,
      toBytes({ schemaVersion: 1, upstreams, seenAt: clock.now().toISOString() }),
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

/** A host that an earlier entry had under another project is taken from that one: a name never means two upstreams. */
async function publish(
  records: RecordStore,
  entries: readonly UpstreamEntry[],
  signal: AbortSignal,
): Promise<void> {
  const put = (entry: UpstreamEntry): Promise<void> => publishUpstream(records, entry, signal);
  const projects = new Set(entries.map(({ project }) => project));
  const hosts = new Set(entries.flatMap((entry) => entry.hosts));
  for (const other of await publishedEntries(records, signal)) {
    if (projects.has(other.project) || !other.hosts.some((host) => hosts.has(host))) continue;
    await put({ ...other, hosts: other.hosts.filter((host) => !hosts.has(host)) });
  }
  await Promise.all(entries.map(put));
}

/** Whether a mirror that runs, or was killed less than 90 seconds ago, has the project among its configured upstreams. */
export async function isServedUpstream(
  records: RecordStore,
  project: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const live = await liveUpstreams(records, clock, signal);
  return live.some((upstream) => upstream.project === project);
}

/** What mirrors that live are configured with; forgets those that are gone. */
async function liveUpstreams(
  records: RecordStore,
  clock: Clock,
  signal: AbortSignal,
): Promise<Pick<UpstreamEntry, 'project' | 'url'>[]> {
  const upstreams = [];
  for (const child of await records.list(mirrorsFolder, {}, signal)) {
    const key = `${mirrorsFolder}/${child.name}`;
    const bytes = await records.get(key, signal);
    const mirror = bytes && parseRecord(instanceSchema, bytes);
    if (!mirror) continue;
    const age = clock.now().getTime() - Date.parse(mirror.seenAt);
    if (age > LIVE_MS) await records.delete(key, signal);
    else upstreams.push(...mirror.upstreams);
  }
  return upstreams;
}

async function refuseOtherUrls(
  records: RecordStore,
  entries: readonly UpstreamEntry[],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const live = await liveUpstreams(records, clock, signal);
  for (const { project, url } of entries) {
    for (const its of live) {
      if (its.project !== project || its.url === url) continue;
      throw new UpstreamConflictError(
        `a running mirror over this store has published ${its.url} for the project "${project}", ` +
          `but here it is ${url} (UPSTREAM_URL, UPSTREAMS): use the same URL, or stop that mirror and wait ${LIVE_MS / 1000} seconds`,
      );
    }
  }
}
