import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { Digest } from '../../../shared/oci/digest.ts';
import type { BlobSource } from '../../../shared/storage/blob-store.ts';
import type { Failure } from '../upstream/outcome.ts';
import type { FillBytes, FillSource } from './fill-source.ts';
import { type AcceptBytes, receiveBody } from './receive-body.ts';
import { RunningDigest } from './running-digest.ts';
import type { Spool } from './spool.ts';
import type { SpoolFile } from './spool-file.ts';
import type { SpooledBody } from './spooled-body.ts';
import { TrickleError } from './trickle-watch.ts';
import { WholeBody } from './whole-body.ts';
import { WindowBody } from './window-body.ts';

/** How a fill began, for everyone who joined it. */
export type FillOpening =
  | { readonly kind: 'following'; readonly body: SpooledBody }
  /** The blob was stored by the time the fill was about to ask. */
  | { readonly kind: 'held' }
  /** There is no room for it, not even for a window: to be passed through instead. */
  | { readonly kind: 'does-not-fit' }
  | { readonly kind: 'failed'; readonly outcome: Failure };

export interface BlobFillOptions {
  readonly digest: Digest;
  readonly spool: Pick<Spool, 'create' | 'createWindow'>;
  readonly clock: Clock;
  readonly source: FillSource;
  /** Stores the bytes, which are verified where they are a file, and links them. Reads a stream, or destroys it. */
  readonly store: (body: BlobSource, totalBytes: number, signal: AbortSignal) => Promise<void>;
  /** Links what another process has stored. */
  readonly link: (signal: AbortSignal) => Promise<void>;
  /** A fault that no client is told of. */
  readonly onFault: (error: unknown, stage: 'fill' | 'store') => void;
}

/** How often a broken body is continued without progress worth the name, and in all. */
const MAX_FRUITLESS_RESUMES = 3;
const MAX_RESUMES = 20;
const RESUME_DELAY_MS = 100;

/** The upstream's body cannot be had as it was announced. */
class BrokenFillError extends Error {
  override readonly name = 'BrokenFillError';
}

type FillStart =
  | Exclude<FillOpening, { kind: 'following' }>
  | {
      readonly kind: 'following';
      readonly body: SpooledBody;
      readonly first: FillBytes;
    };

/**
 * One download of a blob, a task of its own: upstream (or another replica's fill) -> spool -> store. Clients follow the
 * spool and may come, lag and leave as they like. Until the digest matches nothing is stored and no follower gets to its
 * end. What the spool holds as a whole is stored afterwards; of what it does not, a window is kept while it is stored.
 */
export class BlobFill {
  readonly opened: Promise<FillOpening>;
  /** Never rejects. */
  readonly finished: Promise<void>;
  /** Of what was received so far; a reader that fell behind goes on with it. */
  readonly digest: RunningDigest;
  readonly #options: BlobFillOptions;
  #receivedBytes = 0;
  #pulledBytes = 0;

  constructor(options: BlobFillOptions, signal: AbortSignal) {
    this.#options = options;
    this.digest = new RunningDigest(options.digest);
    const { promise, resolve } = Promise.withResolvers<FillOpening>();
    this.opened = promise;
    this.finished = this.#run(resolve, signal);
  }

  /** Bytes that came from the upstream so far. */
  get pulledBytes(): number {
    return this.#pulledBytes;
  }

  /** Other processes may follow it. */
  get isLeading(): boolean {
    return this.#options.source.isLeading;
  }

  async #run(opened: (opening: FillOpening) => void, signal: AbortSignal): Promise<void> {
    const { source, onFault } = this.#options;
    let body: SpooledBody | undefined;
    let storing: Promise<void> | undefined;
    try {
      const start = await this.#open(signal);
      if (start.kind !== 'following') {
        opened(start);
        return;
      }
      body = start.body;
      if (body.path === undefined && source.isLeading) storing = this.#storeAlong(body, signal);
      opened(start);
      await this.#receiveUnlessEnded(start.first, body, signal);
      body.markVerified();
      if (!storing) await this.#settle(body, signal);
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
      onFault(error, 'fill');
    } finally {
      await storing;
      body?.release();
      await source.close().catch((error: unknown) => onFault(error, 'fill'));
    }
  }

  async #open(signal: AbortSignal): Promise<FillStart> {
    const { source, clock } = this.#options;
    const outcome = await source.open(0, signal);
    if (outcome.kind === 'held') return outcome;
    if (outcome.kind !== 'found') return { kind: 'failed', outcome };
    const first = outcome.value;
    const { totalBytes } = first;
    const file = await this.#makeRoom(totalBytes);
    if (file) {
      const windowBytes = file.windowBytes ?? totalBytes;
      const body =
        windowBytes < totalBytes
          ? new WindowBody(file, windowBytes, totalBytes, clock)
          : new WholeBody(file, totalBytes);
      return { kind: 'following', body, first };
    }
    first.body.on('error', () => undefined).destroy();
    return { kind: 'does-not-fit' };
  }

  async #makeRoom(bytes: number): Promise<SpoolFile | undefined> {
    const { spool, onFault } = this.#options;
    const onDiskFault = (error: unknown): undefined => {
      onFault(error, 'fill');
      return undefined;
    };
    const whole = await spool.create(bytes).catch(onDiskFault);
    return whole ?? (await spool.createWindow(bytes, onDiskFault));
  }

  async #receiveUnlessEnded(
    first: FillBytes,
    body: SpooledBody,
    signal: AbortSignal,
  ): Promise<void> {
    // The writer may wait for a reader that takes nothing, whatever becomes of the bytes that come.
    const end = (): void => body.fail(signal.reason as Error);
    signal.addEventListener('abort', end, { once: true });
    try {
      await this.#receive(first, body, signal);
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  async #receive(first: FillBytes, body: SpooledBody, signal: AbortSignal): Promise<void> {
    let source = first;
    const accept: AcceptBytes = (chunk, block) => {
      if (this.#receivedBytes + chunk.length > body.totalBytes) {
        throw new BrokenFillError('the upstream sent more bytes than it announced');
      }
      this.digest.update(chunk);
      this.#receivedBytes += chunk.length;
      if (source.from === 'upstream') this.#pulledBytes += chunk.length;
      return body.append(chunk, block);
    };
    let fruitless = 0;
    for (let resumes = 0; ; resumes += 1) {
      const before = this.#receivedBytes;
      const fault = await receiveBody(source, before, accept, this.#options.clock);
      if (this.#receivedBytes === body.totalBytes) break;
      signal.throwIfAborted();
      const hasFruit = this.#receivedBytes > before && !(fault instanceof TrickleError);
      fruitless = hasFruit ? 0 : fruitless + 1;
      if (resumes === MAX_RESUMES || fruitless === MAX_FRUITLESS_RESUMES) {
        throw new BrokenFillError('the upstream keeps breaking off', {
          cause: fault,
        });
      }
      source = await this.#resume(body.totalBytes, signal);
    }
    if (!this.digest.isRight()) {
      throw new BrokenFillError('the upstream sent bytes of another digest');
    }
  }

  /** Asks the registry again, never the old redirect: signed URLs lapse. */
  async #resume(totalBytes: number, signal: AbortSignal): Promise<FillBytes> {
    const { clock, source } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      await clock.sleep(RESUME_DELAY_MS * 2 ** attempt, signal);
      const outcome = await source.open(this.#receivedBytes, signal);
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

  /** After the last byte: stores the blob, or links it when another process has stored it. */
  async #settle(body: SpooledBody, signal: AbortSignal): Promise<void> {
    const { source, link, store, onFault } = this.#options;
    const { path, totalBytes } = body;
    try {
      if (!(await source.isOursToStore(signal))) await link(signal);
      else if (path !== undefined) {
        await body.flush();
        await store({ path, size: totalBytes }, totalBytes, signal);
      }
    } catch (error) {
      // Readers have what they need in the spool: only the next client pays for it.
      onFault(error, 'store');
    }
  }

  /** Stores what a window alone holds while it comes. */
  async #storeAlong(body: SpooledBody, signal: AbortSignal): Promise<void> {
    const bytes = body.readToStore();
    if (!bytes) return;
    try {
      await this.#options.store(bytes, body.totalBytes, signal);
    } catch (error) {
      this.#options.onFault(error, 'store');
    } finally {
      bytes.on('error', () => undefined).destroy();
    }
  }
}
