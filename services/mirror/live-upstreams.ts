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
  /** Without it nobody decides who may pull from a project, and none passes private images on. */
  readonly projectRights?: object | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The one table of upstreams: the configured ones, then those of projects that cache an upstream, which people make
 * while the mirror runs. What is configured wins. Those of projects are not trusted to name digests, get no credentials,
 * and are spoken to at public addresses alone: who may make projects must not reach into the mirror's network. Where an
 * administrator has said that a project passes private images on, and an account is configured for the very same address,
 * the project has that account and is connected to as is configured there.
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
      const entry = project && this.#entryOf(project, table);
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

  /** Undefined for a project that caches none, or whose name is another upstream's. */
  #entryOf(
    { name, upstream }: ProjectRecord,
    table: readonly UpstreamConfig[],
  ): UpstreamConfig | undefined {
    const { configured, projectRights } = this.#options;
    // A project of another mirror's configuration has its upstream there.
    if (!upstream || upstream.isConfigured === true) return undefined;
    if (!URL.canParse(upstream.url) || findUpstream(table, name)) return undefined;
    const own = {
      project: name,
      url: upstream.url,
      hosts: (upstream.hosts ?? []).filter((word) => !findUpstream(table, word)),
    };
    const passing =
      upstream.passThrough && projectRights ? withAccount(configured, own.url) : undefined;
    if (passing) return { ...passing, ...own, private: 'pass-through' };
    const tagTtlSeconds = configured[0]?.tagTtlSeconds ?? 0;
    return { ...UPSTREAM_DEFAULTS, ...own, tagTtlSeconds, trusted: false, isGuarded: true };
  }

  #tell(entries: readonly UpstreamConfig[]): void {
    const upstreams = entries.map(
      ({ project, url, private: kind }) =>
        `${project}: ${url}${kind === 'pass-through' ? ', private images too' : ''}`,
    );
    const text = upstreams.join();
    if (text === this.#told) return;
    this.#told = text;
    this.#options.log.info({ upstreams }, 'projects that cache an upstream');
  }
}

/** The configured upstream at the same address, as long as there is an account for it. */
const withAccount = (
  configured: readonly UpstreamConfig[],
  url: string,
): UpstreamConfig | undefined =>
  configured.find(
    (entry) => entry.credentials.length > 0 && new URL(entry.url).origin === new URL(url).origin,
  );

const isSame = (a: UpstreamConfig, b: UpstreamConfig): boolean =>
  a.url === b.url && a.hosts.join() === b.hosts.join() && a.private === b.private;
