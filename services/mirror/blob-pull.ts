import { addAbortSignal } from 'node:stream';

import { within } from '../../shared/concurrency/within.ts';
import { waitFor } from '../../shared/concurrency/single-flight.ts';
import type {
  BlobOptions,
  BlobRedirect,
  ContentSource,
} from '../../shared/content/content-source.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import { type RangeRequest, type ResolvedRange, resolveRange } from '../../shared/oci/range.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import type { Observer } from '../../shared/observability/observer.ts';
import type { BlobBody, BlobStat, BlobStore } from '../../shared/storage/blob-store.ts';
import { RangeNotSatisfiableError } from '../../shared/storage/errors.ts';
import { type BlobFills, type BlobRequest, readerKey } from './blob-fills.ts';
import type { BlobProofs } from './blob-proofs.ts';
import type { CachedRepository } from './cached-repository.ts';
import type { BlobFill } from './fill/blob-fill.ts';
import { passThrough } from './fill/pass-through.ts';
import type { SpooledBody } from './fill/spooled-body.ts';
import { ObservedBlobs } from './observed-blobs.ts';
import { servedFrom } from './served-from.ts';
import { unavailable } from './upstream/outcome.ts';
import { refuseUnlessAbsent } from './upstream-refusal.ts';
import { isStorable, type Verdicts } from './verdict.ts';

export interface BlobPullOptions {
  readonly local: ContentSource<RepositoryName>;
  readonly blobs: BlobStore;
  readonly verdicts: Verdicts;
  readonly fills: BlobFills;
  readonly proofs: BlobProofs;
  readonly clock: Clock;
  readonly observer: Observer;
}

/** A joined fill can end between its being found and its being read; what it left is then found in the store. */
const TRIES = 3;
/** How long a client waits for its answer to begin; the fill goes on, and the next try finds it further. */
const HEADERS_MS = 10_000;

interface FollowedBody {
  readonly body: SpooledBody;
  readonly fill: BlobFill;
  /** Of the request that began the fill. */
  readonly isFirst: boolean;
}

/** Blobs of upstream repositories: what is held, else by a fill that everyone who wants the blob follows. */
export class BlobPull {
  readonly #options: BlobPullOptions;
  readonly #observed: ObservedBlobs;

  constructor(options: BlobPullOptions) {
    this.#options = options;
    this.#observed = new ObservedBlobs(options.observer);
  }

  /** Size of what is held, else what the upstream says. */
  async stat(
    repository: CachedRepository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobStat | undefined> {
    const request = await this.#admit(repository, digest, signal);
    if (!request) return undefined;
    const { admission } = request;
    const held = admission.isHeldServable
      ? await this.#options.local.blobStat(repository.cached, digest, signal)
      : undefined;
    repository.trace?.note(servedFrom(repository, held ? 'hit' : 'miss'));
    if (held) return held;
    const outcome = await admission.client.headBlob(repository.upstreamRepository, digest, signal);
    if (outcome.kind === 'found') return outcome.value;
    refuseUnlessAbsent(outcome, repository);
    return undefined;
  }

  async open(
    repository: CachedRepository,
    digest: Digest,
    options: BlobOptions,
    signal: AbortSignal,
  ): Promise<BlobBody | BlobRedirect | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const request = await this.#admit(repository, digest, signal);
      if (!request) return undefined;
      if (attempt > TRIES || !(await isStorable(request.admission))) {
        return this.#passThrough(request, options.range, signal);
      }
      const answer = await this.#openOnce(request, options, signal);
      if (answer !== 'again') return answer;
    }
  }

  /**
   * Makes the blob held, by the same fill that clients join. False when it cannot be: the upstream does not give it, or
   * it may not or cannot be stored. Throws what a client would be told.
   */
  async hold(repository: CachedRepository, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { local, fills } = this.#options;
    const isHeld = async (): Promise<boolean> =>
      (await local.blobStat(repository.cached, digest, signal)) !== undefined;
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      const request = await this.#admit({ ...repository, isBackground: true }, digest, signal);
      if (!request || !(await isStorable(request.admission))) return false;
      if (request.admission.isHeldServable && (await isHeld())) return true;
      const whole = { range: undefined, mayRedirect: false };
      const body = await this.#openOnce(request, whole, signal);
      if (body === undefined) return false;
      if (body !== 'again' && 'stream' in body) body.stream.destroy();
      const running = fills.find(digest);
      if (running) await waitFor(running.fill.finished, signal);
    }
    return isHeld();
  }

  async #admit(
    repository: CachedRepository,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobRequest | undefined> {
    const admitted = await this.#options.verdicts.admit(
      repository,
      { kind: 'blob', digest },
      signal,
    );
    if (admitted.kind === 'refused') {
      refuseUnlessAbsent(admitted.outcome, repository);
      return undefined;
    }
    return { repository, digest, admission: admitted.admission };
  }

  async #openOnce(
    request: BlobRequest,
    options: BlobOptions,
    signal: AbortSignal,
  ): Promise<BlobBody | BlobRedirect | 'again' | undefined> {
    const { range } = options;
    const { repository, digest, admission } = request;
    const { local, blobs, fills, proofs } = this.#options;
    if (admission.isHeldServable) {
      const held = await local.blob(repository.cached, digest, options, signal);
      if (held) return this.#observed.hit(request, held);
    }
    const running = fills.find(digest);
    const isOwnFill = running?.repositories.has(readerKey(request)) ?? false;
    // The bytes are here through another repository, or on their way: this one's upstream must show that it has them.
    // One that is not trusted shows that by delivering them.
    const isWordEnough = repository.upstream.trusted && !isOwnFill;
    if (isWordEnough && (running ?? (await blobs.stat(digest, signal)))) {
      const proof = await proofs.prove(request, signal);
      if (proof.kind !== 'found') {
        refuseUnlessAbsent(proof, repository);
        return undefined;
      }
      const stored = await blobs.open(digest, range, signal);
      if (stored) return this.#observed.hit(request, stored);
    }
    return this.#follow(request, range, signal);
  }

  /** Joins the fill of the digest, or begins it. */
  async #follow(
    request: BlobRequest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | 'again' | undefined> {
    const { fills, clock } = this.#options;
    const { repository } = request;
    const reader = readerKey(request);
    const joined = fills.find(request.digest);
    if (joined && !joined.repositories.has(reader)) return 'again';
    const running = joined ?? fills.begin(request);
    const { fill } = running;
    const opening = await within(waitFor(fill.opened, signal), HEADERS_MS, clock);
    switch (opening?.kind) {
      case undefined:
        refuseUnlessAbsent(unavailable('timeout', 'it takes its time'), repository);
        return undefined;
      case 'held':
        return 'again';
      case 'does-not-fit':
        return request.repository.isBackground
          ? undefined
          : this.#passThrough(request, range, signal);
      case 'failed':
        // What one repository was told is no answer for another.
        if (running.reader !== reader) return 'again';
        refuseUnlessAbsent(opening.outcome, repository);
        return undefined;
      case 'following': {
        const followed = { body: opening.body, fill, isFirst: !joined };
        return this.#read(followed, request, range, signal);
      }
    }
  }

  async #read(
    { body, fill, isFirst }: FollowedBody,
    request: BlobRequest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | 'again'> {
    const { totalBytes } = body;
    const part = requireRange(range, totalBytes);
    const stream = body.read(part.offset, part.length, {
      continueFrom: (position, end) =>
        this.#options.fills.continueFrom(request, { fill, position, end }, signal),
    });
    if (!stream) {
      // It has failed, or is stored: the next try must not find it again.
      await waitFor(fill.finished, signal);
      return 'again';
    }
    // A client that leaves before it reads breaks nothing.
    addAbortSignal(
      signal,
      stream.on('error', () => undefined),
    );
    this.#observed.follower(request, stream, { fill, isFirst });
    const copyTo: BlobBody['copyTo'] = (...to) => stream.copyTo(...to);
    return { totalBytes, ...part, stream, copyTo };
  }

  /** Straight from the upstream, verified on its way, nothing kept. */
  async #passThrough(
    request: BlobRequest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | undefined> {
    const { repository, digest, admission } = request;
    const outcome = await admission.client.openBlob(
      repository.upstreamRepository,
      digest,
      0,
      signal,
    );
    if (outcome.kind !== 'found') {
      refuseUnlessAbsent(outcome, repository);
      return undefined;
    }
    const { body, totalBytes } = outcome.value;
    let part: ResolvedRange;
    try {
      part = requireRange(range, totalBytes);
    } catch (error) {
      body.on('error', () => undefined).destroy();
      throw error;
    }
    const stream = passThrough({ source: body, digest }, part, signal);
    this.#observed.bypass(request, { bytesPulled: totalBytes, bytesPushed: part.length });
    return { totalBytes, ...part, stream };
  }
}

function requireRange(range: RangeRequest | undefined, totalBytes: number): ResolvedRange {
  if (!range) return { offset: 0, length: totalBytes };
  const resolved = resolveRange(range, totalBytes);
  if (!resolved) throw new RangeNotSatisfiableError(totalBytes);
  return resolved;
}
