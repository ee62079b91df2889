import type { Readable } from 'node:stream';

import type { Clock } from '../../../shared/lifecycle/clock.ts';
import {
  type Digest,
  digestAlgorithm,
  finishDigest,
  startDigest,
} from '../../../shared/oci/digest.ts';
import type { Failure, Outcome } from '../upstream/outcome.ts';
import type { UpstreamBlob } from '../upstream/upstream-client.ts';
import type { Spool } from './spool.ts';
import { SpooledBody } from './spooled-body.ts';

/** How a fill began, for everyone who joined it. */
export type FillOpening =
  | { readonly kind: 'following'; readonly body: SpooledBody }
  /** The blob was stored by the time the fill was about to ask. */
  | { readonly kind: 'held' }
  /** The spool or its disk has no room for it: to be passed through instead. */
  | { readonly kind: 'does-not-fit' }
  | { readonly kind: 'failed'; readonly outcome: Failure };

export interface BlobFillOptions {
  readonly digest: Digest;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly isHeld: (signal: AbortSignal) => Promise<boolean>;
  readonly openUpstream: (fromByte: number, signal: AbortSignal) => Promise<Outcome<UpstreamBlob>>;
  /** Stores the verified bytes and links them. Reads the body it is given, or destroys it. */
  readonly store: (body: Readable, totalBytes: number, signal: AbortSignal) => Promise<void>;
  /** A fault that no client is told of. */
  readonly onFault: (error: unknown, stage: 'fill' | 'store') => void;
}

/** How often a broken body is continued without a byte of progress, and in all. */
const MAX_FRUITLESS_RESUMES = 3;
const MAX_RESUMES = 20;
const RESUME_DELAY_MS = 100;

/** The upstream's body cannot be had as it was announced. */
class BrokenFillError extends Error {
  override readonly name = 'BrokenFillError';
}

/**
 * One download of a blob, a task of its own: upstream -> spool file -> store. Clients follow the spool file and may
 * come, lag and leave as they like. Until the digest matches nothing is stored and no follower gets to its end.
 */
export class BlobFill {
  readonly opened: Promise<FillOpening>;
  /** Never rejects. */
  readonly finished: Promise<void>;
  readonly #options: BlobFillOptions;
  #receivedBytes = 0;

  constructor(options: BlobFillOptions, signal: AbortSignal) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<FillOpening>();
    this.opened = promise;
    this.finished = this.#run(resolve, signal);
  }

  /** Bytes that came from the upstream so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  async #run(opened: (opening: FillOpening) => void, signal: AbortSignal): Promise<void> {
    let body: SpooledBody | undefined;
    try {
      const start = await this.#open(signal);
      if (start.kind !== 'following') {
        opened(start);
        return;
      }
      body = start.body;
      opened(start);
      await this.#receive(start.upstream, body, signal);
      body.markVerified();
      await this.#store(body, signal);
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      body?.fail(reason);
      // Too late for anyone who was answered already.
      opened({
        kind: 'failed',
        outcome: {
          kind: 'unavailable',
          reason: 'connection',
          detail: 'the download was abandoned',
        },
      });
      this.#options.onFault(error, 'fill');
    } finally {
      body?.release();
    }
  }

  async #open(
    signal: AbortSignal,
  ): Promise<
    | Exclude<FillOpening, { kind: 'following' }>
    | { readonly kind: 'following'; readonly body: SpooledBody; readonly upstream: UpstreamBlob }
  > {
    // Asked only now, by the one fill of this digest: whoever filled it before has linked it before it let go.
    if (await this.#options.isHeld(signal)) return { kind: 'held' };
    const outcome = await this.#options.openUpstream(0, signal);
    if (outcome.kind !== 'found') return { kind: 'failed', outcome };
    const upstream = outcome.value;
    let file;
    try {
      file = await this.#options.spool.create(upstream.totalBytes);
    } catch (error) {
      this.#options.onFault(error, 'fill');
    }
    if (file) {
      return { kind: 'following', body: new SpooledBody(file, upstream.totalBytes), upstream };
    }
    upstream.body.on('error', () => undefined).destroy();
    return { kind: 'does-not-fit' };
  }

  async #receive(first: UpstreamBlob, body: SpooledBody, signal: AbortSignal): Promise<void> {
    const { digest } = this.#options;
    const algorithm = digestAlgorithm(digest);
    const hash = startDigest(algorithm);
    const accept = async (chunk: Buffer): Promise<void> => {
      if (this.#receivedBytes + chunk.length > body.totalBytes) {
        throw new BrokenFillError('the upstream sent more bytes than it announced');
      }
      hash.update(chunk);
      await body.append(chunk);
      this.#receivedBytes += chunk.length;
    };
    let source = first;
    let fruitless = 0;
    for (let resumes = 0; ; resumes += 1) {
      const before = this.#receivedBytes;
      const fault = await readFrom(source, before, accept);
      if (this.#receivedBytes === body.totalBytes) break;
      signal.throwIfAborted();
      fruitless = this.#receivedBytes > before ? 0 : fruitless + 1;
      if (resumes === MAX_RESUMES || fruitless === MAX_FRUITLESS_RESUMES) {
        throw new BrokenFillError('the upstream keeps breaking off', { cause: fault });
      }
      source = await this.#resume(body.totalBytes, signal);
    }
    if (finishDigest(algorithm, hash) !== digest) {
      throw new BrokenFillError('the upstream sent bytes of another digest');
    }
  }

  /** Asks the registry again, never the old redirect: signed URLs lapse. */
  async #resume(totalBytes: number, signal: AbortSignal): Promise<UpstreamBlob> {
    const { clock, openUpstream } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      await clock.sleep(RESUME_DELAY_MS * 2 ** attempt, signal);
      const outcome = await openUpstream(this.#receivedBytes, signal);
      if (outcome.kind === 'found') {
        if (outcome.value.totalBytes === totalBytes) return outcome.value;
        outcome.value.body.on('error', () => undefined).destroy();
        throw new BrokenFillError('the upstream changed the size of the blob');
      }
      const isWorthAnother = outcome.kind === 'unavailable' || outcome.kind === 'limited';
      if (!isWorthAnother || attempt === MAX_FRUITLESS_RESUMES) {
        throw new BrokenFillError(`the upstream does not continue (${outcome.kind})`);
      }
    }
  }

  async #store(body: SpooledBody, signal: AbortSignal): Promise<void> {
    const bytes = body.read(0, body.totalBytes);
    if (!bytes) return;
    try {
      await this.#options.store(bytes, body.totalBytes, signal);
    } catch (error) {
      // Readers have what they need in the spool: only the next client pays for it.
      this.#options.onFault(error, 'store');
    } finally {
      bytes.on('error', () => undefined).destroy();
    }
  }
}

/**
 * Gives the bytes from `position` on to `accept`, skipping those before it. Resolves at the end of the body, however it
 * came to that; what broke it is returned. Only what `accept` throws is thrown.
 */
async function readFrom(
  source: UpstreamBlob,
  position: number,
  accept: (chunk: Buffer) => Promise<void>,
): Promise<unknown> {
  let skip = position - source.offset;
  let refusal: unknown;
  try {
    for await (const chunk of source.body as AsyncIterable<Buffer>) {
      const wanted = skip < chunk.length ? chunk.subarray(skip) : undefined;
      skip = Math.max(skip - chunk.length, 0);
      try {
        if (wanted) await accept(wanted);
      } catch (error) {
        refusal = error;
        throw error;
      }
    }
  } catch (error) {
    if (refusal !== undefined) throw refusal as Error;
    return error;
  }
  return undefined;
}
