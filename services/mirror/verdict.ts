import { LRUCache } from 'lru-cache';

import { SingleFlight, waitFor } from '../../shared/concurrency/single-flight.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import type { BackgroundTasks } from './background-tasks.ts';
import type { CachedRepository } from './cached-repository.ts';
import { type Probe, probeName, tryRepository, tryToRead } from './repository-proof.ts';
import type { Ground, Proof, Standings } from './standings.ts';
import { type Failure, found, type Outcome } from './upstream/outcome.ts';
import type { Upstream } from './upstream/routed-upstream.ts';
import type { UpstreamConnections } from './upstream/upstream-connections.ts';

/** A proof is not tried more often, and two denials count as two only when they are this far apart. */
const PROOF_INTERVAL_MS = 60_000;
/** A denial without a second one for this long is forgotten. */
const DENIAL_TTL_MS = 60 * 60 * 1000;
const MAX_REPOSITORIES = 10_000;

/** On which terms a request about a cached repository goes on. */
export interface Admission {
  /** Whom to ask: nobody's account, unless a proof that the repository is public holds or its upstream is shared. */
  readonly client: Upstream;
  /** What is proved when the client delivers; undefined: it is no witness. */
  readonly proves: Proof | undefined;
  /** Held content may be served. */
  readonly isHeldServable: boolean;
  /** Where what the client gets may be stored, after `beforeStore`: not at all in what is `foreign`, or `undefined`. */
  readonly ground: () => Promise<Ground | undefined>;
  /** No proof holds any more: what is new is asked for as the witness. */
  readonly isProofDue: boolean;
  /** Of a proof that was given and is on its way to the store. */
  readonly written: Promise<void> | undefined;
}

/** Whether what the admission's client gets may be stored. Throws StorageError when the store cannot tell. */
export async function isStorable({ ground }: Admission): Promise<boolean> {
  const found = await ground();
  return found === 'new' || found === 'marked';
}

const MARKED: Promise<Ground> = Promise.resolve('marked');
const NOWHERE = Promise.resolve(undefined);

export type AdmissionOutcome =
  | { readonly kind: 'admitted'; readonly admission: Admission }
  | { readonly kind: 'refused'; readonly outcome: Failure };

/** `isWritten`: the proof stands in the store, so that content may follow it. */
interface Judgement {
  readonly isWritten: boolean;
}

/** Who gives the verdict on an upstream's repositories. */
interface Witness {
  readonly client: Upstream;
  readonly proof: Proof;
}

export interface VerdictsOptions {
  readonly standings: Standings;
  readonly connections: UpstreamConnections;
  readonly clock: Clock;
  readonly background: BackgroundTasks;
  readonly lifetime: AbortSignal;
}

/**
 * Public or private, per upstream repository (docs/mirror.md). Public is what an anonymous caller was given; the
 * configured account never gives the verdict and is used only while a proof that the repository is public holds, so that
 * nothing that it alone may read gets here. Where the upstream is `shared`, its account is the witness instead. Where it
 * is `pass-through`, what the account alone may read goes to who asked (whose right that is was found before) and is
 * neither stored nor shared among requests.
 *
 * A proof lasts for `proofTtlSeconds` of its upstream; after that new content is asked for as the witness, which proves it again, and what is held is
 * still served. It is withdrawn by two registry-shaped denials a minute apart, after fresh tokens; any other answer (a
 * limit, a proxy's 403, a failure) leaves it as it is.
 */
export class Verdicts {
  readonly #options: VerdictsOptions;
  readonly #judgements = new SingleFlight<Outcome<Judgement>>();
  readonly #triedAtMs = new LRUCache<string, number>({ max: MAX_REPOSITORIES });
  readonly #deniedAtMs = new LRUCache<string, number>({ max: MAX_REPOSITORIES });

  constructor(options: VerdictsOptions) {
    this.#options = options;
  }

  /** The terms for a request; where an account is configured and no proof is there, after asking for one. */
  async admit(
    repository: CachedRepository,
    probe: Probe,
    signal: AbortSignal,
  ): Promise<AdmissionOutcome> {
    const admission = await this.admitUnproved(repository, signal);
    if (admission.isHeldServable) {
      if (admission.isProofDue) this.#proveAgainSoon(repository, probe);
      return { kind: 'admitted', admission };
    }
    const { configured } = this.#options.connections.to(repository.upstream);
    // Without an account of its own the request is the proof: it is made as the witness.
    if (!configured || admission.client === configured) return { kind: 'admitted', admission };
    const judgement = await waitFor(
      // An outcome may be about what was asked for alone, so only those who ask for the same share it.
      this.#judgements.run(`${repository.cached} ${probeName(probe)}`, () =>
        this.#judge(repository, probe, admission),
      ),
      signal,
    );
    if (judgement.kind !== 'found') {
      return isHidden(judgement) && passesThrough(repository)
        ? { kind: 'admitted', admission: passing(configured) }
        : { kind: 'refused', outcome: judgement };
    }
    return {
      kind: 'admitted',
      admission: judgement.value.isWritten
        ? { ...admission, client: configured, proves: undefined, isHeldServable: true }
        : { ...admission, ground: () => NOWHERE },
    };
  }

  /** The terms as they are now, without asking the upstream. */
  async admitUnproved(repository: CachedRepository, signal: AbortSignal): Promise<Admission> {
    const { standings, connections } = this.#options;
    const standing = await standings.of(repository, signal);
    const witness = this.#witness(repository);
    const isHeldServable = standings.isProved(standing, repository);
    const ground = standing.kind === 'marked' ? () => MARKED : standing.ground;
    const written = standing.kind === 'marked' ? standing.written : undefined;
    const isProofDue = standings.isDue(standing, repository);
    const terms = { isHeldServable, ground, isProofDue, written };
    const { configured } = connections.to(repository.upstream);
    const isWitnessNeeded = witness.proof === 'shared' || isProofDue;
    return isWitnessNeeded || !configured
      ? { ...terms, client: witness.client, proves: witness.proof }
      : { ...terms, client: configured, proves: undefined };
  }

  /** As of an admission now, for whoever has one from before. */
  isHeldServable(repository: CachedRepository, signal: AbortSignal): Promise<boolean> {
    return this.#options.standings.isProvedNow(repository, signal);
  }

  /** The terms on which a repository's tags are listed: nothing of a list is stored. */
  async admitToList(repository: CachedRepository, signal: AbortSignal): Promise<Admission> {
    const admission = await this.admitUnproved(repository, signal);
    const { configured } = this.#options.connections.to(repository.upstream);
    const isPassed = configured && !admission.isHeldServable && passesThrough(repository);
    return isPassed ? passing(configured) : admission;
  }

  /** Marks the repository before its first link is written. To be called after the admission's client delivered. */
  async beforeStore(repository: CachedRepository, admission: Admission): Promise<void> {
    const { proves, ground, written } = admission;
    // Where it proves nothing itself, the proof that admitted it stands in the store, or is to stand there first.
    await written;
    if (proves) await this.#prove(repository, proves, (await ground()) === 'new');
  }

  #witness({ upstream }: CachedRepository): Witness {
    const { anonymous, configured } = this.#options.connections.to(upstream);
    return upstream.private === 'shared' && configured
      ? { client: configured, proof: 'shared' }
      : { client: anonymous, proof: 'public' };
  }

  async #prove(repository: CachedRepository, proof: Proof, isNew: boolean): Promise<void> {
    await this.#options.standings.prove(repository, proof, isNew);
    this.#deniedAtMs.delete(repository.cached);
  }

  /** Whether anybody may pull, asked before an account is used. A registry's denial is remembered for a minute. */
  async #judge(
    repository: CachedRepository,
    probe: Probe,
    admission: Admission,
  ): Promise<Outcome<Judgement>> {
    const { clock, lifetime } = this.#options;
    const { cached, upstreamRepository } = repository;
    const deniedAtMs = this.#deniedAtMs.get(cached);
    if (deniedAtMs !== undefined && clock.monotonicMs() - deniedAtMs < PROOF_INTERVAL_MS) {
      return { kind: 'denied', isRegistryAnswer: true };
    }
    const outcome = await tryToRead(admission.client, upstreamRepository, probe, lifetime);
    if (outcome.kind === 'found') {
      this.#deniedAtMs.delete(cached);
      return found({
        isWritten: (await isStorable(admission)) && (await this.#writeProof(repository, admission)),
      });
    }
    if (outcome.kind === 'denied' && outcome.isRegistryAnswer) {
      this.#deniedAtMs.set(cached, clock.monotonicMs());
    }
    return outcome;
  }

  /** A store that cannot be written costs the cache its gain, not the client its answer. */
  async #writeProof(repository: CachedRepository, { ground }: Admission): Promise<boolean> {
    try {
      await this.#prove(repository, 'public', (await ground()) === 'new');
      return true;
    } catch (error) {
      if (error instanceof StorageError) return false;
      throw error;
    }
  }

  #proveAgainSoon(repository: CachedRepository, probe: Probe): void {
    const { background, clock } = this.#options;
    const { cached } = repository;
    const triedAtMs = this.#triedAtMs.get(cached);
    const nowMs = clock.monotonicMs();
    if (triedAtMs !== undefined && nowMs - triedAtMs < PROOF_INTERVAL_MS) return;
    this.#triedAtMs.set(cached, nowMs);
    background.run('verdict', () => this.#proveAgain(repository, probe));
  }

  async #proveAgain(repository: CachedRepository, probe: Probe): Promise<void> {
    const { lifetime, clock, standings } = this.#options;
    const { cached, upstreamRepository } = repository;
    const { client, proof } = this.#witness(repository);
    const outcome = await tryRepository(client, upstreamRepository, probe, lifetime);
    if (outcome.kind === 'found') {
      await this.#prove(repository, proof, false);
      return;
    }
    if (!isDenial(outcome, repository)) return;
    const nowMs = clock.monotonicMs();
    const firstMs = this.#deniedAtMs.get(cached);
    const isOld = firstMs === undefined || nowMs - firstMs > DENIAL_TTL_MS;
    if (isOld) this.#deniedAtMs.set(cached, nowMs);
    else if (nowMs - firstMs >= PROOF_INTERVAL_MS) await standings.withdraw(repository);
  }
}

const passesThrough = ({ upstream }: CachedRepository): boolean =>
  upstream.private === 'pass-through';

/** What the account may read is given to who asked, is no proof of anything, and is kept nowhere. */
const passing = (configured: Upstream): Admission => ({
  client: configured,
  proves: undefined,
  isHeldServable: false,
  ground: () => NOWHERE,
  isProofDue: false,
  written: undefined,
});

/** Whether an account might be shown more: some registries hide what is private by 404. */
const isHidden = (outcome: Failure): boolean =>
  outcome.kind === 'not-found' || (outcome.kind === 'denied' && outcome.isRegistryAnswer);

/**
 * A registry that knows no repository of that name either hides or has lost it; nobody can tell which. Where deleted tags
 * are kept, so is what was lost.
 */
function isDenial(outcome: Failure, { upstream }: CachedRepository): boolean {
  if (outcome.kind === 'not-found') return upstream.onDeletedTag === 'drop';
  return outcome.kind === 'denied' && outcome.isRegistryAnswer;
}
