import type {
  ContentSource,
  ReferrerPage,
  ReferrerPageRequest,
} from '../../shared/content/content-source.ts';
import { ReferrerPages } from '../../shared/content/referrer-pages.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import type { RepositoryName, Tag } from '../../shared/oci/reference.ts';
import type { CachedRepository } from './cached-repository.ts';
import { UpstreamLists } from './upstream-lists.ts';
import { refuseUnlessAbsent } from './upstream-refusal.ts';
import type { UpstreamReferrers } from './upstream/read-referrers.ts';
import type { Verdicts } from './verdict.ts';

export interface UpstreamDiscoveryOptions {
  readonly local: ContentSource<RepositoryName>;
  readonly index: Pick<RegistryIndex, 'members' | 'referrers'>;
  readonly verdicts: Verdicts;
  readonly clock: Clock;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
}

/** Memory for the lists of each kind. */
const LISTS_BYTES = 16 * 1024 * 1024;
/** A tag and what a list has around it. */
const TAG_BYTES = 64;
const HELD_ALONE = 'only what is cached: the upstream could not be asked for its referrers';
const CUT = 'the upstream lists more referrers than are read';

/** What an upstream's repositories have: tags, and what refers to a manifest. As fresh as tags are. */
export class UpstreamDiscovery {
  readonly #options: UpstreamDiscoveryOptions;
  readonly #pages: ReferrerPages;
  readonly #tags: UpstreamLists<readonly Tag[]>;
  readonly #referrers: UpstreamLists<UpstreamReferrers>;

  constructor(options: UpstreamDiscoveryOptions) {
    this.#options = options;
    this.#pages = new ReferrerPages(options.index);
    const { clock } = options;
    this.#tags = new UpstreamLists(clock, LISTS_BYTES, (tags) => tags.length * TAG_BYTES);
    this.#referrers = new UpstreamLists(clock, LISTS_BYTES, ({ bytes }) => bytes);
  }

  /** The upstream's tags, sorted by bytes; while it cannot tell them, those that are held. */
  async tags(repository: CachedRepository, signal: AbortSignal): Promise<Tag[] | undefined> {
    const { local, verdicts, lifetime } = this.#options;
    const { cached, upstream, upstreamRepository } = repository;
    const { client, isHeldServable } = await verdicts.admitToList(repository, signal);
    const outcome = await this.#tags.get(
      listName(cached, isHeldServable),
      upstream.tagTtlSeconds,
      () => client.tagList(upstreamRepository, lifetime),
      signal,
    );
    if (outcome.kind === 'found') return [...new Set(outcome.value)].sort(byBytes);
    if (outcome.kind !== 'not-found' && isHeldServable) {
      const held = await local.tags(cached, signal);
      if (held && held.length > 0) return held;
    }
    refuseUnlessAbsent(outcome, repository);
    return undefined;
  }

  /** What the upstream lists and what is held; while it cannot be asked, what is held, with a warning. */
  async referrers(
    repository: CachedRepository,
    subject: Digest,
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage> {
    const { local, verdicts, lifetime } = this.#options;
    const { cached, upstream, upstreamRepository } = repository;
    const probe = { kind: 'manifest', reference: { kind: 'digest', digest: subject } } as const;
    const admitted = await verdicts.admit(repository, probe, signal);
    if (admitted.kind === 'refused') {
      refuseUnlessAbsent(admitted.outcome, repository);
      return { descriptors: [], next: undefined };
    }
    const { client, isHeldServable } = admitted.admission;
    const outcome = await this.#referrers.get(
      listName(`${cached}@${subject}`, isHeldServable),
      upstream.tagTtlSeconds,
      () => client.referrers(upstreamRepository, subject, lifetime),
      signal,
    );
    if (outcome.kind === 'found') {
      const { descriptors, isComplete } = outcome.value;
      const page = isHeldServable
        ? await this.#pages.page(cached, subject, descriptors, request, signal)
        : await this.#pages.pageOfListed(descriptors, request);
      return isComplete ? page : { ...page, warning: CUT };
    }
    if (!isHeldServable) {
      refuseUnlessAbsent(outcome, repository);
      return { descriptors: [], next: undefined };
    }
    const held = await local.referrers(cached, subject, request, signal);
    return { ...held, warning: HELD_ALONE };
  }
}

/** What was listed while a repository was public is nobody's any more when that is withdrawn. */
const listName = (name: string, isProved: boolean): string =>
  `${name} ${isProved ? 'proved' : 'unproved'}`;

/** Tags are ASCII, so that code units are bytes. */
const byBytes = (a: Tag, b: Tag): number => (a < b ? -1 : a > b ? 1 : 0);
