import type { ManifestContent } from '../../shared/content/content-source.ts';
import type { ManifestStore, VerifiedManifest } from '../../shared/content/manifest-store.ts';
import type { Lease, Leases } from '../../shared/index/ports.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { ManifestReference, Tag } from '../../shared/oci/reference.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { BackgroundTasks } from './background-tasks.ts';
import type { CachedRepository } from './cached-repository.ts';
import { found, type Outcome } from './upstream/outcome.ts';
import { type Admission, isStorable, type Verdicts } from './verdict.ts';

export interface ManifestFetchOptions {
  readonly manifests: ManifestStore;
  readonly verdicts: Verdicts;
  readonly leases: Leases;
  readonly background: BackgroundTasks;
  readonly log: Log;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
}

export interface PulledManifest {
  readonly content: ManifestContent;
  readonly cache: 'hit' | 'miss';
  /** The store has it, or is to have it. */
  readonly isKept: boolean;
  /** Whether the store has it, under its tag where it was asked for by one. Never rejects. */
  readonly stored: Promise<boolean>;
}

/** What the store has. */
export const heldManifest = (content: ManifestContent): PulledManifest => ({
  content,
  cache: 'hit',
  isKept: true,
  stored: Promise.resolve(true),
});

/** Another process that asks for the same is waited for no longer than this. */
const JOIN_MS = 5_000;
/** Answered before it is stored; beyond this an answer waits for the store. */
const MAX_UNSTORED_BYTES = 16 * 1024 * 1024;

/** Fetches manifests of upstreams and keeps them. */
export class ManifestFetch {
  readonly #options: ManifestFetchOptions;
  /** What is verified and on its way to the store. */
  readonly #arrived = new Map<string, PulledManifest>();
  #unstoredBytes = 0;

  constructor(options: ManifestFetchOptions) {
    this.#options = options;
  }

  /** What was fetched and is not stored yet: it is as good as held. */
  arrived({ cached }: CachedRepository, reference: ManifestReference): PulledManifest | undefined {
    return this.#arrived.get(nameOf(cached, reference));
  }

  /** The upstream's manifest, given out while it is being stored; when that fails it was given out all the same. */
  async fetch(
    repository: CachedRepository,
    reference: ManifestReference,
    admission: Admission,
    tag?: Tag,
  ): Promise<Outcome<PulledManifest>> {
    const asked = admission.client.getManifest(
      repository.upstreamRepository,
      reference,
      this.#options.lifetime,
    );
    // Found out beside the question.
    const storable = isStorable(admission);
    storable.catch(() => undefined);
    const outcome = await asked;
    if (outcome.kind !== 'found') return outcome;
    const { bytes, digest, parsed } = outcome.value;
    const content = { bytes, digest, mediaType: parsed.mediaType, size: bytes.length };
    if (!(await storable)) {
      return found({ content, cache: 'miss', isKept: false, stored: Promise.resolve(false) });
    }
    const stored = this.#store(repository, admission, outcome.value, tag);
    this.#noteArrived(repository, { content, cache: 'hit', isKept: true, stored }, tag);
    // Without a client there is no hurry, and what is fetched is to be held.
    if (repository.isBackground || this.#unstoredBytes > MAX_UNSTORED_BYTES) await stored;
    return found({ content, cache: 'miss', isKept: true, stored });
  }

  /** False when the store could not take it. */
  async #store(
    repository: CachedRepository,
    admission: Admission,
    manifest: VerifiedManifest,
    tag: Tag | undefined,
  ): Promise<boolean> {
    const { verdicts, manifests, leases, lifetime } = this.#options;
    const { cached } = repository;
    // Clients that asked by tag go on by digest, perhaps at another process: it is to wait for the store.
    const name = nameOf(cached, { kind: 'digest', digest: manifest.digest });
    const lease = tag && leases.acquire(leaseOf(name), 0, lifetime).catch(() => undefined);
    // A tag is to end at what came last.
    const before = tag && this.#arrived.get(nameOf(cached, { kind: 'tag', tag }));
    const isStored = await this.bestEffort('manifest.store', async () => {
      await before?.stored;
      await verdicts.beforeStore(repository, admission);
      await manifests.put(cached, manifest, tag ? [tag] : [], lifetime);
      crashPoint('fill.manifest-stored');
    });
    await this.#release(lease);
    return isStored;
  }

  #noteArrived({ cached }: CachedRepository, arrived: PulledManifest, tag: Tag | undefined): void {
    const { digest, size } = arrived.content;
    const names = [nameOf(cached, { kind: 'digest', digest })];
    if (tag) names.push(nameOf(cached, { kind: 'tag', tag }));
    for (const name of names) this.#arrived.set(name, arrived);
    this.#unstoredBytes += size;
    void arrived.stored.then(() => {
      this.#unstoredBytes -= size;
      for (const name of names) {
        if (this.#arrived.get(name) === arrived) this.#arrived.delete(name);
      }
    });
  }

  /** A store that fails costs the next client an upstream request, not this one its answer. */
  async bestEffort(operation: string, act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.#options.log.warn({ operation, err: error }, 'the cache could not be written');
      return false;
    }
  }

  /**
   * Runs the work as the only process that does it for this name, as far as that can be had soon. Who waits for the name
   * is let go on when the store has what was found.
   */
  async alone(
    name: string,
    work: () => Promise<Outcome<PulledManifest>>,
  ): Promise<Outcome<PulledManifest>> {
    const { leases, lifetime, background } = this.#options;
    const lease = leases.acquire(leaseOf(name), JOIN_MS, lifetime);
    await lease;
    let stored: Promise<boolean> | undefined;
    try {
      const outcome = await work();
      if (outcome.kind === 'found') ({ stored } = outcome.value);
      return outcome;
    } finally {
      background.run('manifest.keep', async () => {
        await stored;
        await this.#release(lease);
      });
    }
  }

  /** A lease that cannot be given back lapses. */
  async #release(lease: Promise<Lease | undefined> | undefined): Promise<void> {
    await this.bestEffort('manifest.lease', async () => (await lease)?.release());
  }
}

const nameOf = (cached: string, reference: ManifestReference): string =>
  reference.kind === 'tag' ? `${cached}:${reference.tag}` : `${cached}@${reference.digest}`;
const leaseOf = (name: string): string => `pull:${name}`;
