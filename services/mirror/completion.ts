import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';

import type { ManifestContent } from '../../shared/content/content-source.ts';
import type { HeldContent } from '../../shared/content/held-content.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { type ParsedManifest, parseManifest } from '../../shared/oci/manifest.ts';
import { childPlatforms, isPlatform } from '../../shared/oci/platform.ts';
import type { CompletionOutcome, Log, Observer } from '../../shared/observability/observer.ts';
import type { BlobPull } from './blob-pull.ts';
import type { CachedRepository } from './cached-repository.ts';
import type { FillRegistry } from './fill/fill-registry.ts';
import type { ManifestPull } from './manifest-pull.ts';

export interface CompletionOptions {
  readonly held: HeldContent;
  readonly manifests: Pick<ManifestPull, 'pull'>;
  readonly blobs: Pick<BlobPull, 'hold'>;
  readonly fills: Pick<FillRegistry, 'size'>;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly log: Log;
}

/** Images that are completed at once, each blob by blob. */
const AT_ONCE = 2;
/** Images that wait beyond this are left incomplete until they are pulled again. */
const MAX_WAITING = 1_000;
/** The client that pulled the manifest begins the downloads itself, if it wants them. */
const DELAY_MS = 250;
/** A manifest is not looked at again for this long, however often it is pulled. */
const LOOKED_AT_MS = 10 * 60_000;
const MAX_LOOKED_AT = 10_000;
/** Downloads of clients go first, for so long. */
const PATIENCE_MS = 30_000;
const PATIENCE_STEP_MS = 250;

/**
 * Makes what was pulled held (I9): the blobs of an image whose manifest a client got, and of an index the platforms
 * that its upstream names for that, are fetched in the background. By the same fills that clients follow, a few at a
 * time and after theirs; nothing that may not be stored. What is not done when the process ends is dropped.
 */
export class Completion {
  readonly #options: CompletionOptions;
  readonly #limit = pLimit(AT_ONCE);
  readonly #lookedAt = new LRUCache<string, true>({ max: MAX_LOOKED_AT, ttl: LOOKED_AT_MS });
  readonly #stopped = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(options: CompletionOptions) {
    this.#options = options;
  }

  /** To be told of every manifest that a client was given. */
  pulled(repository: CachedRepository, content: ManifestContent): void {
    const { upstream, cached } = repository;
    const { completeBytes, prefetchPlatforms } = upstream;
    if (this.#stopped.signal.aborted) return;
    if (completeBytes === 0 && prefetchPlatforms.length === 0) return;
    const key = `${cached}@${content.digest}`;
    if (this.#lookedAt.has(key)) return;
    const parsed = parseManifest(content.bytes, content.mediaType);
    if (parsed.kind === 'index' ? prefetchPlatforms.length === 0 : completeBytes === 0) return;
    if (this.#running.size >= MAX_WAITING) {
      this.#options.observer.completion(upstream.project, 'dropped');
      return;
    }
    this.#lookedAt.set(key, true);
    const background = { ...repository, trace: undefined, isBackground: true } as const;
    this.#start(key, background, () =>
      parsed.kind === 'index'
        ? this.#prefetch(background, content, prefetchPlatforms)
        : this.complete(background, parsed, completeBytes, this.#stopped.signal),
    );
  }

  /** Fetches what is missing of an image, if that is `maxBytes` at most. Throws what a client would be told. */
  async complete(
    repository: CachedRepository,
    image: ParsedManifest,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<CompletionOutcome | undefined> {
    const { held, blobs } = this.#options;
    const missing = await held.missing(repository.cached, image, signal);
    if (missing.length === 0) return undefined;
    const bytes = missing.reduce((total, { size }) => total + size, 0);
    if (bytes > maxBytes) return 'too-large';
    for (const { digest } of missing) {
      await this.#letClientsGoFirst(signal);
      if (!(await blobs.hold(repository, digest, signal))) return 'not-kept';
    }
    return 'completed';
  }

  /** Begins nothing more, and lets go of what it waits for. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the mirror ends'));
    await Promise.all(this.#running);
  }

  #start(
    key: string,
    { upstream }: CachedRepository,
    work: () => Promise<CompletionOutcome | undefined>,
  ): void {
    const { observer } = this.#options;
    const { project } = upstream;
    observer.level('completionsWaiting', project, { add: 1 });
    const running = this.#run(key, work)
      .then((outcome) => {
        if (outcome) observer.completion(project, outcome);
      })
      .finally(() => {
        observer.level('completionsWaiting', project, { add: -1 });
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  async #run(
    key: string,
    work: () => Promise<CompletionOutcome | undefined>,
  ): Promise<CompletionOutcome | undefined> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopped;
    try {
      await clock.sleep(DELAY_MS, signal);
      return await this.#limit(() => {
        signal.throwIfAborted();
        return work();
      });
    } catch (error) {
      // The next pull tries again.
      this.#lookedAt.delete(key);
      if (signal.aborted) return 'dropped';
      log.debug({ operation: 'image.complete', key, err: error }, 'an image stays incomplete');
      return 'failed';
    }
  }

  async #prefetch(
    repository: CachedRepository,
    index: ManifestContent,
    platforms: readonly string[],
  ): Promise<CompletionOutcome | undefined> {
    const { signal } = this.#stopped;
    let outcome: CompletionOutcome | undefined;
    for (const [digest, platform] of childPlatforms(index.bytes)) {
      if (!platforms.some((asked) => isPlatform(asked, platform))) continue;
      const reference = { kind: 'digest', digest } as const;
      const child = await this.#options.manifests.pull(repository, reference, signal);
      if (!child) return 'not-kept';
      const image = parseManifest(child.bytes, child.mediaType);
      outcome = (await this.complete(repository, image, Infinity, signal)) ?? outcome;
      if (outcome === 'not-kept') return outcome;
    }
    return outcome;
  }

  async #letClientsGoFirst(signal: AbortSignal): Promise<void> {
    const { fills, clock } = this.#options;
    for (let waited = 0; fills.size > 0 && waited < PATIENCE_MS; waited += PATIENCE_STEP_MS) {
      await clock.sleep(PATIENCE_STEP_MS, signal);
    }
  }
}
