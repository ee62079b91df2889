import { SingleFlight, waitFor } from '../../shared/concurrency/single-flight.ts';
import { within } from '../../shared/concurrency/within.ts';
import type { ContentSource, ManifestContent } from '../../shared/content/content-source.ts';
import type { TagIndex } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../shared/oci/reference.ts';
import type { BackgroundTasks } from './background-tasks.ts';
import type { CachedRepository } from './cached-repository.ts';
import type { TagFreshness, TagTerms } from './freshness.ts';
import { heldManifest, type ManifestFetch, type PulledManifest } from './manifest-fetch.ts';
import { answerOf, decideTag, holdingOf } from './tag-decision.ts';
import { refuseUnlessAbsent, tooStale } from './upstream-refusal.ts';
import { type Failure, found, type Outcome, unavailable } from './upstream/outcome.ts';
import type { UpstreamConnections } from './upstream/upstream-connections.ts';
import type { Admission, Verdicts } from './verdict.ts';

export interface TagPullOptions {
  readonly local: ContentSource<RepositoryName>;
  readonly tags: TagIndex;
  readonly verdicts: Verdicts;
  readonly freshness: TagFreshness;
  readonly connections: UpstreamConnections;
  readonly terms: (upstream: CachedRepository['upstream']) => TagTerms;
  readonly background: BackgroundTasks;
  readonly clock: Clock;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
}

/** How a tag is answered. */
export type TagAnswered =
  | {
      readonly kind: 'pulled';
      readonly manifest: PulledManifest;
      /** Another pull had asked for it already. */
      readonly isJoined: boolean;
    }
  /** What is held, although the upstream did not confirm it; `ageMs` since it last did, where that is known. */
  | {
      readonly kind: 'stale';
      readonly content: ManifestContent;
      readonly failure: Failure;
      readonly ageMs: number | undefined;
    }
  | { readonly kind: 'absent' };

/** A held tag is served stale when its upstream takes longer than this to confirm it; the question goes on. */
const REVALIDATION_BUDGET_MS = 2_500;
/** After that, held tags of the same upstream are not waited for during this long. */
const SLOW_UPSTREAM_MS = 10_000;
const TOO_SLOW = unavailable('timeout', 'the upstream has not answered yet');

/** Tags of upstream repositories, by the table of tag-decision.ts. */
export class TagPull {
  readonly #options: TagPullOptions;
  readonly #fetch: ManifestFetch;
  readonly #flights = new SingleFlight<Outcome<PulledManifest>>();
  readonly #slowUntilMs = new Map<string, number>();

  constructor(options: TagPullOptions, fetch: ManifestFetch) {
    this.#options = options;
    this.#fetch = fetch;
  }

  /** Throws RegistryError with what a client is told when nothing can be served. */
  async pull(
    repository: CachedRepository,
    tag: Tag,
    admission: Admission,
    signal: AbortSignal,
  ): Promise<TagAnswered> {
    const { freshness, clock } = this.#options;
    const key = `${repository.cached}:${tag}`;
    let isJoined = false;
    const flight = (): Promise<Outcome<PulledManifest>> => {
      isJoined = this.#flights.isRunning(key);
      return this.#flights.run(key, () => this.#revalidate(repository, tag, admission));
    };
    const settle = async (
      held: ManifestContent | undefined,
      outcome: Outcome<PulledManifest>,
    ): Promise<TagAnswered> =>
      outcome.kind === 'found'
        ? { kind: 'pulled', manifest: outcome.value, isJoined }
        : this.#withoutAnswer(repository, tag, held, outcome);

    const byTag = { kind: 'tag', tag } as const;
    const held = (await this.#held(repository, byTag, admission.isHeldServable, signal))?.content;
    if (!held) return settle(held, await waitFor(flight(), signal));
    const state = await freshness.state(repository, tag);
    if (state !== 'due') {
      const isAskable = state === 'behind' && !freshness.pausedBy(repository, tag);
      if (isAskable) this.#behind(flight);
      return settle(held, found(heldManifest(held)));
    }
    // What may not be served stale is waited for like what is not held.
    if (!(await this.#mayBeStale(repository, tag))) {
      return settle(held, await waitFor(flight(), signal));
    }
    const known = this.#knownFailure(repository, tag, flight);
    if (known) return settle(held, known);
    const outcome = await waitFor(within(flight(), REVALIDATION_BUDGET_MS, clock), signal);
    if (!outcome) {
      const { project } = repository.upstream;
      this.#slowUntilMs.set(project, clock.monotonicMs() + SLOW_UPSTREAM_MS);
    }
    return settle(held, outcome ?? TOO_SLOW);
  }

  /** Why nobody needs to wait for the upstream now: it is asked behind the answer where that may bring something. */
  #knownFailure(
    repository: CachedRepository,
    tag: Tag,
    flight: () => Promise<unknown>,
  ): Failure | undefined {
    const { freshness, connections, clock } = this.#options;
    const { upstream } = repository;
    const paused = freshness.pausedBy(repository, tag);
    if (paused) return paused;
    const { breaker } = connections.to(upstream);
    if (breaker.isOpen) {
      if (breaker.isProbeDue) this.#behind(flight);
      return unavailable('paused', 'the upstream has not answered for a while');
    }
    if ((this.#slowUntilMs.get(upstream.project) ?? -Infinity) <= clock.monotonicMs()) {
      return undefined;
    }
    this.#behind(flight);
    return TOO_SLOW;
  }

  #behind(flight: () => Promise<unknown>): void {
    this.#options.background.run('tag.revalidate', flight);
  }

  async #mayBeStale(repository: CachedRepository, tag: Tag): Promise<boolean> {
    const { terms, freshness } = this.#options;
    const { maxStaleMs } = terms(repository.upstream);
    if (maxStaleMs === undefined) return true;
    const ageMs = await freshness.ageMs(repository, tag);
    return holdingOf(true, ageMs, maxStaleMs) === 'held';
  }

  /** What the table says of it. */
  async #withoutAnswer(
    repository: CachedRepository,
    tag: Tag,
    held: ManifestContent | undefined,
    outcome: Failure,
  ): Promise<TagAnswered> {
    const { freshness, terms } = this.#options;
    const { upstream } = repository;
    const ageMs = held && (await freshness.ageMs(repository, tag));
    const holding = holdingOf(held !== undefined, ageMs, terms(upstream).maxStaleMs);
    const decision = decideTag(answerOf(outcome), holding, upstream.onDeletedTag);
    if (held && decision === 'serve-stale') {
      return { kind: 'stale', content: held, failure: outcome, ageMs };
    }
    if (holding === 'too-old' && decision === 'unavailable') {
      throw tooStale(outcome, repository, ageMs);
    }
    refuseUnlessAbsent(outcome, repository);
    return { kind: 'absent' };
  }

  /** Asks for the tag, by HEAD where something is held, and acts on the answer. */
  #revalidate(
    repository: CachedRepository,
    tag: Tag,
    admission: Admission,
  ): Promise<Outcome<PulledManifest>> {
    return this.#fetch.alone(`${repository.cached}:${tag}`, async () => {
      const { freshness } = this.#options;
      const byTag = { kind: 'tag', tag } as const;
      const held = await this.#heldNow(repository, byTag);
      if (held && (await freshness.isFresh(repository, tag))) return found(held);
      const outcome = held
        ? await this.#confirm(repository, tag, held, admission)
        : await this.#fetch.fetch(repository, byTag, admission, tag);
      return this.#noted(repository, tag, held, outcome);
    });
  }

  /** The outcome; what follows from it is written down, of what is not stored yet after that. */
  async #noted(
    repository: CachedRepository,
    tag: Tag,
    held: PulledManifest | undefined,
    outcome: Outcome<PulledManifest>,
  ): Promise<Outcome<PulledManifest>> {
    if (outcome.kind !== 'found') {
      await this.#noteFailure(repository, tag, held, outcome);
      return outcome;
    }
    const pulled = outcome.value;
    if (!pulled.isKept) return outcome;
    const stored = this.#options.freshness.confirm(repository, tag, pulled.stored);
    return found({ ...pulled, stored });
  }

  async #noteFailure(
    repository: CachedRepository,
    tag: Tag,
    held: PulledManifest | undefined,
    outcome: Failure,
  ): Promise<void> {
    const { freshness, tags, lifetime } = this.#options;
    const { onDeletedTag } = repository.upstream;
    const decision = decideTag(answerOf(outcome), held ? 'held' : 'unheld', onDeletedTag);
    if (decision === 'serve-stale') freshness.pause(repository, tag, outcome);
    if (decision !== 'drop') return;
    // What is on its way to the store would bring the tag back.
    await held?.stored;
    await this.#fetch.bestEffort('tag.drop', async () => {
      await tags.delete(repository.cached, tag, lifetime);
      await freshness.forget(repository, tag);
    });
  }

  async #confirm(
    repository: CachedRepository,
    tag: Tag,
    held: PulledManifest,
    admission: Admission,
  ): Promise<Outcome<PulledManifest>> {
    const { tags, lifetime } = this.#options;
    const byTag = { kind: 'tag', tag } as const;
    const head = await admission.client.headManifest(
      repository.upstreamRepository,
      byTag,
      lifetime,
    );
    if (head.kind !== 'found') return head;
    const { digest } = head.value;
    if (digest === held.content.digest) return found(held);
    if (!digest) return this.#fetch.fetch(repository, byTag, admission, tag);

    const byDigest = { kind: 'digest', digest } as const;
    const other = await this.#held(repository, byDigest, admission.isHeldServable, lifetime);
    if (other) {
      // A tag is never to name what the store does not have, and to end at what came last.
      await held.stored;
      const isMoved =
        (await other.stored) &&
        (await this.#fetch.bestEffort('tag.move', () =>
          tags.set(repository.cached, tag, digest, lifetime),
        ));
      return found({ ...other, isKept: isMoved });
    }
    const fetched = await this.#fetch.fetch(repository, byDigest, admission, tag);
    if (fetched.kind === 'found') return fetched;
    // The tag moved on meanwhile, or the HEAD told another digest than the bytes have.
    const isContradiction =
      fetched.kind === 'not-found' ||
      (fetched.kind === 'unavailable' && fetched.reason === 'digest-mismatch');
    return isContradiction ? this.#fetch.fetch(repository, byTag, admission, tag) : fetched;
  }

  async #held(
    repository: CachedRepository,
    reference: ManifestReference,
    isHeldServable: boolean,
    signal: AbortSignal,
  ): Promise<PulledManifest | undefined> {
    const arrived = this.#fetch.arrived(repository, reference);
    if (arrived) return arrived;
    if (!isHeldServable) return undefined;
    const content = await this.#options.local.manifest(repository.cached, reference, signal);
    return content && heldManifest(content);
  }

  /** Looked at by the one flight of a key: what the flight before it stored is not asked for again. */
  async #heldNow(
    repository: CachedRepository,
    reference: ManifestReference,
  ): Promise<PulledManifest | undefined> {
    const { verdicts, lifetime } = this.#options;
    const isHeldServable = await verdicts.isHeldServable(repository, lifetime);
    return this.#held(repository, reference, isHeldServable, lifetime);
  }
}
