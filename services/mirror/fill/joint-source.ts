import { randomUUID } from 'node:crypto';

import { within } from '../../../shared/concurrency/within.ts';
import type { Lease, Leases } from '../../../shared/index/ports.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { Digest } from '../../../shared/oci/digest.ts';
import type { FillObservation } from '../../../shared/observability/observer.ts';
import { StorageError } from '../../../shared/storage/errors.ts';
import type { Outcome } from '../upstream/outcome.ts';
import type { UpstreamBlob } from '../upstream/upstream-client.ts';
import type { FillBytes, FillBytesOutcome, FillSource } from './fill-source.ts';
import type { FollowedFill, PeerAnswer, PeerFills } from './peer-fills.ts';

/** How fills of several processes find each other. */
export interface Joins {
  readonly leases: Leases;
  readonly peers: PeerFills;
  /** Where the others reach this process; undefined until it listens. */
  ownUrl(): string | undefined;
}

export interface JointSourceOptions {
  readonly digest: Digest;
  /** Whom the fill was begun for (see readerKey). */
  readonly reader: string;
  /** Undefined: this process can be joined by no other. */
  readonly joins: Joins | undefined;
  readonly clock: Clock;
  readonly openUpstream: (fromByte: number, signal: AbortSignal) => Promise<Outcome<UpstreamBlob>>;
  /** Asks the reader's own upstream whether it has the blob; undefined: its word is no proof, only its bytes are. */
  readonly prove: ((signal: AbortSignal) => Promise<Outcome<unknown>>) | undefined;
  /** Stored, and linked for the reader. */
  readonly isHeld: (signal: AbortSignal) => Promise<boolean>;
  readonly isStored: (signal: AbortSignal) => Promise<boolean>;
  readonly openStored: (fromByte: number, signal: AbortSignal) => Promise<FillBytes | undefined>;
  readonly observe: (observation: FillObservation) => void;
}

/** How long a fill looks for somebody to follow, before it goes on by itself. */
const ELECTION_MS = 6_000;
const ELECTION_PAUSE_MS = 100;
/** How often a followed fill that owes bytes is looked after, and how long it may owe them. */
const WATCH_MS = 2_000;
const MAX_IDLE_MS = 15_000;
/** How long a blob that another has failed to store waits for those that store it already. */
const STORE_WAIT_MS = 60_000;

interface Followed {
  readonly claim: string;
  readonly fill: FollowedFill;
}

/**
 * One download for all processes: who holds the digest's lease asks the upstream, the others follow its fill. A holder
 * that is gone, hangs or owes bytes for too long is replaced: whoever gets the lease then goes on at the upstream from
 * the byte that it has. A holder that lost its lease goes on too, which costs a download and harms nothing.
 */
export class JointSource implements FillSource {
  readonly #options: JointSourceOptions;
  #isLeading = false;
  #lease: Lease | undefined;
  #followed: Followed | undefined;
  /** The claim of a holder that is not to be waited for. */
  #gone: string | undefined;
  #isProved = false;

  constructor(options: JointSourceOptions) {
    this.#options = options;
  }

  get isLeading(): boolean {
    return this.#isLeading;
  }

  async open(fromByte: number, signal: AbortSignal): Promise<FillBytesOutcome> {
    if (this.#isLeading) return this.#fromUpstream(fromByte, signal);
    const elected = await this.#elect(fromByte, signal);
    if (elected !== 'lead') return elected;
    // Asked only now, by the one fill of this digest: whoever filled it before has linked it before it let go.
    if (fromByte === 0 && (await this.#options.isHeld(signal))) return { kind: 'held' };
    this.#isLeading = true;
    return this.#fromUpstream(fromByte, signal);
  }

  async isOursToStore(signal: AbortSignal): Promise<boolean> {
    const { joins, clock, isStored } = this.#options;
    const followed = this.#followed;
    if (this.#isLeading || !joins || !followed) return true;
    const over = followed.fill.storeOver.then(() => true);
    while (!(await within(over, WATCH_MS, clock))) {
      signal.throwIfAborted();
      if ((await joins.leases.holder(this.#name)) !== followed.claim) break;
    }
    if (await isStored(signal)) return false;
    this.#lease = await joins.leases.acquire(this.#name, STORE_WAIT_MS, signal, this.#terms(joins));
    return !(await isStored(signal));
  }

  async close(): Promise<void> {
    this.#followed?.fill.close();
    await this.#lease?.release();
  }

  get #name(): string {
    return `fill:${this.#options.digest}`;
  }

  #terms(joins: Joins): { claim: string; insteadOf: string | undefined } {
    return { claim: `${randomUUID()} ${joins.ownUrl() ?? ''}`, insteadOf: this.#gone };
  }

  async #fromUpstream(fromByte: number, signal: AbortSignal): Promise<FillBytesOutcome> {
    const outcome = await this.#options.openUpstream(fromByte, signal);
    return outcome.kind === 'found'
      ? { kind: 'found', value: { ...outcome.value, from: 'upstream' } }
      : outcome;
  }

  /** The lease, or the bytes of who has it. */
  async #elect(fromByte: number, signal: AbortSignal): Promise<FillBytesOutcome | 'lead'> {
    const { joins, clock, observe } = this.#options;
    if (joins?.ownUrl() === undefined) {
      observe({ joined: 'none', reason: 'no-internal-url' });
      return 'lead';
    }
    const untilMs = clock.monotonicMs() + ELECTION_MS;
    let sawHolder = false;
    while (clock.monotonicMs() < untilMs) {
      const terms = this.#terms(joins);
      const lease = await joins.leases.acquire(this.#name, 0, signal, terms);
      if (lease) {
        this.#lease = lease;
        // Whoever had the lease in the meantime may have stored the blob.
        const isLater = sawHolder || fromByte > 0;
        const stored = isLater ? await this.#fromStore(fromByte, signal) : undefined;
        if (stored) return stored;
        const isAlone = lease.reach === 'process';
        observe(isAlone ? { joined: 'none', reason: 'no-redis' } : { joined: 'led', reason: '' });
        return 'lead';
      }
      const claim = await joins.leases.holder(this.#name);
      sawHolder = true;
      if (claim === undefined) continue;
      const answer = await this.#follow(claim, joins, fromByte, signal);
      if (answer !== 'again') return answer;
    }
    observe({ joined: 'none', reason: 'leader-unreachable' });
    return 'lead';
  }

  async #follow(
    claim: string,
    { peers }: Joins,
    fromByte: number,
    signal: AbortSignal,
  ): Promise<FillBytesOutcome | 'lead' | 'again'> {
    const { digest, reader, observe } = this.#options;
    const question = { digest, fromByte, reader, isProved: this.#isProved };
    const answer: PeerAnswer = await peers.open(urlOf(claim), question, signal);
    switch (answer.kind) {
      case 'following':
        this.#followed = { claim, fill: answer };
        void this.#watch(this.#followed);
        observe({ joined: 'followed', reason: '' });
        return {
          kind: 'found',
          value: {
            totalBytes: answer.totalBytes,
            offset: fromByte,
            body: answer.body,
            from: 'replica',
          },
        };
      case 'unproved': {
        const { prove } = this.#options;
        if (!prove) {
          observe({ joined: 'none', reason: 'not-trusted' });
          return 'lead';
        }
        const proof = await prove(signal);
        if (proof.kind !== 'found') return proof;
        this.#isProved = true;
        return 'again';
      }
      case 'absent':
        return (await this.#fromStore(fromByte, signal)) ?? this.#pause(signal);
      case 'unreachable':
        this.#gone = claim;
        return this.#pause(signal);
      case 'pending':
        return 'again';
      case 'behind':
      case 'refused':
        observe({ joined: 'none', reason: answer.kind === 'behind' ? 'behind' : 'leader-refused' });
        return 'lead';
    }
  }

  async #pause(signal: AbortSignal): Promise<'again'> {
    await this.#options.clock.sleep(ELECTION_PAUSE_MS, signal);
    return 'again';
  }

  /** The one that was to be followed may have ended: with the blob in the store. */
  async #fromStore(fromByte: number, signal: AbortSignal): Promise<FillBytesOutcome | undefined> {
    const { isStored, openStored } = this.#options;
    if (fromByte === 0) return (await isStored(signal)) ? { kind: 'held' } : undefined;
    try {
      const stored = await openStored(fromByte, signal);
      return stored && { kind: 'found', value: stored };
    } catch (error) {
      // Clients are in the middle of it, and the upstream has the rest too.
      if (error instanceof StorageError) return undefined;
      throw error;
    }
  }

  /** Breaks a body off whose sender is no longer the holder, or owes bytes for too long. Never rejects. */
  async #watch({ claim, fill }: Followed): Promise<void> {
    const { joins, clock } = this.#options;
    const ended = new AbortController();
    fill.body.once('close', () => ended.abort());
    try {
      for (;;) {
        await clock.sleep(WATCH_MS, ended.signal);
        if (fill.idleMs() < WATCH_MS) continue;
        const isHolder = (await joins?.leases.holder(this.#name)) === claim;
        if (isHolder && fill.idleMs() < MAX_IDLE_MS) continue;
        this.#gone = claim;
        fill.body.destroy(new Error('the replica that is followed hangs'));
        return;
      }
    } catch {
      // The body has ended.
    }
  }
}

/** A claim is 36 characters that differ from all others, a space, and where its holder is reached. */
const urlOf = (claim: string): string => claim.slice(37);
