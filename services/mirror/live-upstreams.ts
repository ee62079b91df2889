import { UPSTREAM_DEFAULTS } from '../../shared/config/built-in-upstreams.ts';
import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import { findUpstream } from '../../shared/content/upstream-entry.ts';
import { publishedProjects } from '../../shared/content/upstream-table.ts';
import type { ProjectIndex, ProjectRecord } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';

/** How often the store is asked for projects that cache an upstream. */
const LOOK_MS = 5_000;

export interface LiveUpstreamsOptions {
  readonly records: RecordStore;
  readonly projects: Pick<ProjectIndex, 'get'>;
  readonly configured: readonly UpstreamConfig[];
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The one table of upstreams: the configured ones, then those of projects that cache an upstream, which people make
 * while the mirror runs. What is configured wins. Those of projects are not trusted to name digests, get no credentials,
 * and are spoken to at public addresses alone: who may make projects must not reach into the mirror's network.
 */
export class LiveUpstreams {
  /** The same list all the time, whose entries come and go. */
  readonly all: readonly UpstreamConfig[];
  readonly #all: UpstreamConfig[];
  readonly #options: LiveUpstreamsOptions;
  #told = '';

  constructor(options: LiveUpstreamsOptions) {
    this.#options = options;
    this.#all = [...options.configured];
    this.all = this.#all;
  }

  /** Reads what projects there are now; what cannot be read leaves the table as it is. */
  async look(signal: AbortSignal): Promise<void> {
    const { records, projects, configured } = this.#options;
    const names = (await publishedProjects(records, signal)).sort();
    const candidates = names.filter((name) => !findUpstream(configured, name));
    const found = await Promise.all(candidates.map((name) => projects.get(name, signal)));
    const table = [...configured];
    for (const project of found) {
      const before = this.#all.find((known) => known.project === project?.name);
      const entry = project && entryOf(project, table, configured);
      // The same as long as it says the same: what is connected to it stays.
      if (entry) table.push(before && isSame(before, entry) ? before : entry);
    }
    this.#all.splice(0, this.#all.length, ...table);
    this.#tell(table.slice(configured.length));
  }

  /** Looks again every few seconds until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    for (;;) {
      try {
        await clock.sleep(LOOK_MS, signal);
      } catch {
        return;
      }
      await this.look(signal).catch((error: unknown) => {
        if (!signal.aborted) log.debug({ error }, 'the upstreams of projects could not be read');
      });
    }
  }

  #tell(entries: readonly UpstreamConfig[]): void {
    const upstreams = entries.map(({ project, url }) => `${project}: ${url}`);
    const text = upstreams.join();
    if (text === this.#told) return;
    this.#told = text;
    this.#options.log.info({ upstreams }, 'projects that cache an upstream');
  }
}

/** Undefined for a project that caches none, or whose name is another upstream's. */
function entryOf(
  { name, upstream }: ProjectRecord,
  table: readonly UpstreamConfig[],
  configured: readonly UpstreamConfig[],
): UpstreamConfig | undefined {
  // A project of another mirror's configuration has its upstream there.
  if (!upstream || upstream.isConfigured === true) return undefined;
  if (!URL.canParse(upstream.url) || findUpstream(table, name)) return undefined;
  return {
    ...UPSTREAM_DEFAULTS,
    project: name,
    url: upstream.url,
    hosts: (upstream.hosts ?? []).filter((word) => !findUpstream(table, word)),
    tagTtlSeconds: configured[0]?.tagTtlSeconds ?? 0,
    trusted: false,
    isGuarded: true,
  };
}

const isSame = (a: UpstreamConfig, b: UpstreamConfig): boolean =>
  a.url === b.url && a.hosts.join() === b.hosts.join();
