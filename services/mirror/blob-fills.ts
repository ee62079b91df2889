import type { Readable } from 'node:stream';

import type { ContentSource } from '../../shared/content/content-source.ts';
import type { MembershipIndex } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { Digest } from '../../shared/oci/digest.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import type { Log, Observer } from '../../shared/observability/observer.ts';
import type { BlobSource, BlobStore } from '../../shared/storage/blob-store.ts';
import type { CachedRepository } from './cached-repository.ts';
import { BlobFill } from './fill/blob-fill.ts';
import type { FillRegistry, RunningFill } from './fill/fill-registry.ts';
import type { FillBytes } from './fill/fill-source.ts';
import { type Joins, JointSource } from './fill/joint-source.ts';
import { passThrough } from './fill/pass-through.ts';
import type { Spool } from './fill/spool.ts';
import type { Admission, Verdicts } from './verdict.ts';

/** One request for a blob of an upstream repository. */
export interface BlobRequest {
  readonly repository: CachedRepository;
  readonly digest: Digest;
  readonly admission: Admission;
}

export interface BlobFillsOptions {
  readonly local: ContentSource<RepositoryName>;
  readonly blobs: BlobStore;
  readonly members: MembershipIndex;
  readonly verdicts: Verdicts;
  readonly fills: FillRegistry;
  readonly joins: Joins | undefined;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly log: Log;
  /** Ends the fills. */
  readonly lifetime: AbortSignal;
}

/**
 * Names who reads: two requests with the same key are entitled to the same bytes, in whatever process they came. What
 * their delivery proves is part of it: only who was asked as nobody shows that anybody may have them.
 */
export const readerKey = ({ repository, admission }: BlobRequest): string =>
  `${repository.cached} ${repository.upstream.url} ${admission.proves ?? 'proved'}`;

/** Begins fills: where their bytes come from and where they go. */
export class BlobFills {
  readonly #options: BlobFillsOptions;

  constructor(options: BlobFillsOptions) {
    this.#options = options;
  }

  find(digest: Digest): RunningFill | undefined {
    return this.#options.fills.find(digest);
  }

  /** There must be none of this digest. */
  begin(request: BlobRequest): RunningFill {
    const { spool, clock, log, lifetime, fills, observer } = this.#options;
    const { repository, digest } = request;
    const reader = readerKey(request);
    const repositories = new Map([[reader, repository.cached]]);
    const fill = new BlobFill(
      {
        digest,
        spool,
        clock,
        source: this.#source(request, reader),
        store: (body, totalBytes, signal) =>
          this.#store(request, repositories, { body, totalBytes, signal }),
        link: (signal) => this.#link(request, repositories, signal),
        onFault: (error, stage) => {
          log.warn({ operation: `blob.${stage}`, digest, err: error }, 'a fill failed');
        },
      },
      lifetime,
    );
    const running = { fill, reader, repositories };
    fills.add(digest, running);
    const { project } = repository.upstream;
    observer.level('fills', project, { add: 1 });
    void fill.finished.finally(() => observer.level('fills', project, { add: -1 }));
    return running;
  }

  /** The rest of a blob for a reader that fell behind its fill's window: from the store, else from the upstream. */
  async continueFrom(
    { repository, digest, admission }: BlobRequest,
    { fill, position, end }: { fill: BlobFill; position: number; end: number },
    signal: AbortSignal,
  ): Promise<Readable> {
    const range = { kind: 'from', first: position, last: end - 1 } as const;
    const stored = await this.#options.blobs.open(digest, range, signal);
    if (stored) return stored.stream;
    const before = fill.digest.stateUpTo(position);
    const outcome = await admission.client.openBlob(
      repository.upstreamRepository,
      digest,
      before?.position ?? 0,
      signal,
    );
    if (outcome.kind !== 'found')
      throw new Error(`the upstream does not continue (${outcome.kind})`);
    const { body: source, offset } = outcome.value;
    // An upstream that knows no ranges begins at the beginning.
    const known = offset === before?.position ? before : undefined;
    const part = { offset: position, length: end - position };
    return passThrough({ source, digest, before: known }, part, signal);
  }

  #source(request: BlobRequest, reader: string): JointSource {
    const { local, blobs, verdicts, joins, clock, observer } = this.#options;
    const { repository, digest, admission } = request;
    const name = repository.upstreamRepository;
    return new JointSource({
      digest,
      reader,
      joins,
      clock,
      openUpstream: (fromByte, signal) => admission.client.openBlob(name, digest, fromByte, signal),
      prove: repository.upstream.trusted
        ? (signal) => admission.client.headBlob(name, digest, signal)
        : undefined,
      isHeld: async (signal) => {
        if (!(await verdicts.isHeldServable(repository, signal))) return false;
        return (await local.blobStat(repository.cached, digest, signal)) !== undefined;
      },
      isStored: async (signal) => (await blobs.stat(digest, signal)) !== undefined,
      openStored: (fromByte, signal) => this.#openStored(digest, fromByte, signal),
      observe: (observation) => observer.fill(observation),
    });
  }

  async #openStored(
    digest: Digest,
    fromByte: number,
    signal: AbortSignal,
  ): Promise<FillBytes | undefined> {
    const stored = await this.#options.blobs.open(
      digest,
      { kind: 'from', first: fromByte },
      signal,
    );
    if (!stored) return undefined;
    const { totalBytes, offset, stream } = stored;
    return { totalBytes, offset, body: stream, from: 'store' };
  }

  async #store(
    request: BlobRequest,
    repositories: ReadonlyMap<string, RepositoryName>,
    { body, totalBytes, signal }: { body: BlobSource; totalBytes: number; signal: AbortSignal },
  ): Promise<void> {
    const { digest } = request;
    if (repositories.size === 0) return;
    await this.#options.blobs.put(digest, body, totalBytes, signal);
    crashPoint('fill.blob-stored');
    // Only now are the bytes known to be right, and what their delivery proves.
    await this.#link(request, repositories, signal);
  }

  async #link(
    { repository, digest, admission }: BlobRequest,
    repositories: ReadonlyMap<string, RepositoryName>,
    signal: AbortSignal,
  ): Promise<void> {
    // Withdrawn while it came: its delivery proves nothing any more.
    const isOwn = [...repositories.values()].includes(repository.cached);
    if (isOwn) await this.#options.verdicts.beforeStore(repository, admission);
    await this.#linkAll(digest, repositories, signal);
  }

  async #linkAll(
    digest: Digest,
    repositories: ReadonlyMap<string, RepositoryName>,
    signal: AbortSignal,
  ): Promise<void> {
    // The map may grow while it is gone through; its iterator comes to what was added.
    for (const name of repositories.values()) {
      await this.#options.members.add(name, 'blob', digest, signal);
      crashPoint('fill.blob-linked');
    }
  }
}
