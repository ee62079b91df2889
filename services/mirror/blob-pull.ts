import { addAbortSignal } from 'node:stream';

import { waitFor } from '../../shared/concurrency/single-flight.ts';
import type {
  BlobOptions,
  BlobRedirect,
  ContentSource,
} from '../../shared/content/content-source.ts';
import type { MembershipIndex } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import { type RangeRequest, type ResolvedRange, resolveRange } from '../../shared/oci/range.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import type { Log, Observer, ProxyOutcome } from '../../shared/observability/observer.ts';
import type { BlobBody, BlobStat, BlobStore } from '../../shared/storage/blob-store.ts';
import { RangeNotSatisfiableError, StorageError } from '../../shared/storage/errors.ts';
import type { CachedRepository } from './cached-repository.ts';
import { BlobFill } from './fill/blob-fill.ts';
import type { FillRegistry, RunningFill } from './fill/fill-registry.ts';
import { passThrough } from './fill/pass-through.ts';
import type { Spool } from './fill/spool.ts';
import type { SpoolReader } from './fill/spooled-body.ts';
import { servedFrom } from './served-from.ts';
import { refuseUnlessAbsent } from './upstream-refusal.ts';
import type { Admission, Verdicts } from './verdict.ts';

export interface BlobPullOptions {
  readonly local: ContentSource<RepositoryName>;
  readonly blobs: BlobStore;
  readonly members: MembershipIndex;
  readonly verdicts: Verdicts;
  readonly fills: FillRegistry;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly log: Log;
  /** Ends the fills. */
  readonly lifetime: AbortSignal;
}

/** A joined fill can end between its being found and its being read; what it left is then found in the store. */
const TRIES = 3;

/** One request for a blob of an upstream repository. */
interface BlobRequest {
  readonly repository: CachedRepository;
  readonly digest: Digest;
  readonly admission: Admission;
}

/** Blobs of upstream repositories: what is held, else by a fill that everyone who wants the blob follows. */
export class BlobPull {
  readonly #options: BlobPullOptions;

  constructor(options: BlobPullOptions) {
    this.#options = options;
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
      if (!request.admission.isStorable || attempt > TRIES) {
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
      if (!request?.admission.isStorable) return false;
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
    const { local, blobs, fills } = this.#options;
    if (admission.isHeldServable) {
      const held = await local.blob(repository.cached, digest, options, signal);
      if (held) return this.#hit(request, held);
    }
    const running = fills.find(digest);
    const isOwnFill = running?.repositories.has(repository.cached) ?? false;
    // The bytes are here through another repository, or on their way: this one's upstream must show that it has them.
    // One that is not trusted shows that by delivering them.
    const isWordEnough = repository.upstream.trusted && !isOwnFill;
    if (isWordEnough && (running ?? (await blobs.stat(digest, signal)))) {
      const proof = await admission.client.headBlob(repository.upstreamRepository, digest, signal);
      if (proof.kind !== 'found') {
        refuseUnlessAbsent(proof, repository);
        return undefined;
      }
      if (running && (await this.#isMarked(repository, admission, signal))) {
        running.repositories.add(repository.cached);
      }
      const stored = await this.#linkStored(request, range, signal);
      if (stored) return this.#hit(request, stored);
    }
    return this.#follow(request, range, signal);
  }

  /** False when the marker that must come before a link could not be written: the blob is then only passed on. */
  async #isMarked(
    repository: CachedRepository,
    admission: Admission,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      await this.#options.verdicts.beforeStore(repository, admission, signal);
      return true;
    } catch (error) {
      if (error instanceof StorageError) return false;
      throw error;
    }
  }

  /** The stored blob, after linking it into the repository; undefined when it is not stored. */
  async #linkStored(
    { repository, digest, admission }: BlobRequest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | undefined> {
    const { blobs, members, verdicts } = this.#options;
    const body = await blobs.open(digest, range, signal);
    if (!body) return undefined;
    try {
      await verdicts.beforeStore(repository, admission, signal);
      await members.add(repository.cached, 'blob', digest, signal);
      crashPoint('fill.blob-linked');
    } catch (error) {
      // The upstream has said that these bytes are its own: they may be read, whether or not that can be written down.
      this.#options.log.warn(
        { operation: 'blob.link', err: error },
        'the cache could not be written',
      );
    }
    return body;
  }

  /** Joins the fill of the digest, or begins it. */
  async #follow(
    request: BlobRequest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | 'again' | undefined> {
    const { fills } = this.#options;
    const joined = fills.find(request.digest);
    if (joined && !joined.repositories.has(request.repository.cached)) return 'again';
    const { fill } = joined ?? this.#begin(request);
    const opening = await waitFor(fill.opened, signal);
    switch (opening.kind) {
      case 'held':
        return 'again';
      case 'does-not-fit':
        return request.repository.isBackground
          ? undefined
          : this.#passThrough(request, range, signal);
      case 'failed':
        refuseUnlessAbsent(opening.outcome, request.repository);
        return undefined;
      case 'following': {
        const { totalBytes } = opening.body;
        const part = requireRange(range, totalBytes);
        const stream = opening.body.read(part.offset, part.length);
        if (!stream) return 'again';
        // A client that leaves before it reads breaks nothing.
        addAbortSignal(
          signal,
          stream.on('error', () => undefined),
        );
        this.#observeFollower(request, stream, fill, joined ? 'join' : 'miss');
        return { totalBytes, ...part, stream };
      }
    }
  }

  #begin({ repository, digest, admission }: BlobRequest): RunningFill {
    const { spool, clock, local, log, lifetime, fills, verdicts, blobs, members, observer } =
      this.#options;
    const repositories = new Set([repository.cached]);
    const fill = new BlobFill(
      {
        digest,
        spool,
        clock,
        isHeld: async (signal) => {
          const { isHeldServable } = await verdicts.admitUnproved(repository, signal);
          if (!isHeldServable) return false;
          return (await local.blobStat(repository.cached, digest, signal)) !== undefined;
        },
        openUpstream: (fromByte, signal) =>
          admission.client.openBlob(repository.upstreamRepository, digest, fromByte, signal),
        store: async (body, totalBytes, signal) => {
          await verdicts.beforeStore(repository, admission, signal);
          await blobs.put(digest, body, totalBytes, signal);
          crashPoint('fill.blob-stored');
          // The set may grow while it is gone through; a set's iterator comes to what was added.
          for (const name of repositories) {
            await members.add(name, 'blob', digest, signal);
            crashPoint('fill.blob-linked');
          }
        },
        onFault: (error, stage) => {
          log.warn({ operation: `blob.${stage}`, digest, err: error }, 'a fill failed');
        },
      },
      lifetime,
    );
    const running = { fill, repositories };
    fills.add(digest, running);
    const { project } = repository.upstream;
    observer.level('fills', project, { add: 1 });
    void fill.finished.finally(() => observer.level('fills', project, { add: -1 }));
    return running;
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
    const stream = passThrough(body, digest, part, signal);
    this.#note(request, 'bypass');
    this.#observe(request, 'bypass', { bytesPulled: totalBytes, bytesPushed: part.length });
    return { totalBytes, ...part, stream };
  }

  /** Of a client that is sent to the store the bytes are not counted: nobody here sees them. */
  #hit<Held extends BlobBody | BlobRedirect>(request: BlobRequest, body: Held): Held {
    this.#note(request, 'hit');
    this.#observe(request, 'hit', { bytesPushed: 'url' in body ? 0 : body.length });
    return body;
  }

  /** One observation a request, when its stream and, for the one that began it, the fill are over. */
  #observeFollower(
    request: BlobRequest,
    stream: SpoolReader,
    fill: BlobFill,
    outcome: 'miss' | 'join',
  ): void {
    this.#note(request, outcome);
    stream.once('close', () => {
      const observe = (): void => {
        const bytesPulled = outcome === 'miss' ? fill.receivedBytes : 0;
        this.#observe(request, outcome, { bytesPulled, bytesPushed: stream.deliveredBytes });
      };
      if (outcome === 'miss') void fill.finished.then(observe);
      else observe();
    });
  }

  #note({ repository }: BlobRequest, outcome: ProxyOutcome): void {
    repository.trace?.note(servedFrom(repository, outcome));
  }

  /** What nobody asked for is no pull, but its bytes came all the same. */
  #observe(
    { repository }: BlobRequest,
    outcome: ProxyOutcome,
    { bytesPulled = 0, bytesPushed }: { bytesPulled?: number; bytesPushed: number },
  ): void {
    const upstream = repository.upstream.project;
    this.#options.observer.proxy(
      repository.isBackground
        ? { upstream, kind: 'blob', outcome: 'background', bytesPulled }
        : { upstream, kind: 'blob', outcome, bytesPulled, bytesPushed },
    );
  }
}

function requireRange(range: RangeRequest | undefined, totalBytes: number): ResolvedRange {
  if (!range) return { offset: 0, length: totalBytes };
  const resolved = resolveRange(range, totalBytes);
  if (!resolved) throw new RangeNotSatisfiableError(totalBytes);
  return resolved;
}
