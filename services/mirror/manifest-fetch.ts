import type { ManifestContent } from '../../shared/content/content-source.ts';
import type { ManifestStore } from '../../shared/content/manifest-store.ts';
import type { Leases } from '../../shared/index/ports.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { ManifestReference, Tag } from '../../shared/oci/reference.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { CachedRepository } from './cached-repository.ts';
import { found, type Outcome } from './upstream/outcome.ts';
import type { Admission, Verdicts } from './verdict.ts';

export interface ManifestFetchOptions {
  readonly manifests: ManifestStore;
  readonly verdicts: Verdicts;
  readonly leases: Leases;
  readonly log: Log;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
}

export interface PulledManifest {
  readonly content: ManifestContent;
  readonly cache: 'hit' | 'miss';
  /** The store has it, under its tag where it was asked for by one. */
  readonly isStored: boolean;
}

/** Another process that asks for the same is waited for no longer than this. */
const JOIN_MS = 5_000;

/** Fetches manifests of upstreams and keeps them. */
export class ManifestFetch {
  readonly #options: ManifestFetchOptions;

  constructor(options: ManifestFetchOptions) {
    this.#options = options;
  }

  /** The upstream's manifest, stored before it is given out; when that fails it is given out all the same. */
  async fetch(
    repository: CachedRepository,
    reference: ManifestReference,
    admission: Admission,
    tag?: Tag,
  ): Promise<Outcome<PulledManifest>> {
    const { verdicts, manifests, lifetime } = this.#options;
    const outcome = await admission.client.getManifest(
      repository.upstreamRepository,
      reference,
      lifetime,
    );
    if (outcome.kind !== 'found') return outcome;
    const manifest = outcome.value;
    const isStored =
      admission.isStorable &&
      (await this.bestEffort('manifest.store', async () => {
        await verdicts.beforeStore(repository, admission, lifetime);
        await manifests.put(repository.cached, manifest, tag ? [tag] : [], lifetime);
        crashPoint('fill.manifest-stored');
      }));
    const { bytes, digest, parsed } = manifest;
    const content = { bytes, digest, mediaType: parsed.mediaType, size: bytes.length };
    return found({ content, cache: 'miss', isStored });
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

  /** Runs the work as the only process that does it for this name, as far as that can be had soon. */
  async alone<Value>(name: string, work: () => Promise<Value>): Promise<Value> {
    const { leases, lifetime } = this.#options;
    const lease = await leases.acquire(`pull:${name}`, JOIN_MS, lifetime);
    try {
      return await work();
    } finally {
      void this.bestEffort('manifest.lease', () => lease?.release() ?? Promise.resolve());
    }
  }
}
