import { SingleFlight, waitFor } from '../../shared/concurrency/single-flight.ts';
import type { MembershipIndex } from '../../shared/index/ports.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { BlobStore } from '../../shared/storage/blob-store.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import { type BlobFills, type BlobRequest, readerKey } from './blob-fills.ts';
import type { Outcome } from './upstream/outcome.ts';
import type { Verdicts } from './verdict.ts';

export interface BlobProofsOptions {
  readonly blobs: BlobStore;
  readonly members: MembershipIndex;
  readonly verdicts: Verdicts;
  readonly fills: BlobFills;
  readonly log: Log;
  /** Ends the questions. */
  readonly lifetime: AbortSignal;
}

/**
 * What makes a blob a repository's own that is here through another one, or on its way: the word of the repository's own
 * upstream. Asked once, and linked once, for all who want it at the same time.
 */
export class BlobProofs {
  readonly #options: BlobProofsOptions;
  readonly #proofs = new SingleFlight<Outcome<unknown>>();

  constructor(options: BlobProofsOptions) {
    this.#options = options;
  }

  /** `found`: the reader may have the bytes. They are linked if they are stored, else joined by it on their way. */
  prove(request: BlobRequest, signal: AbortSignal): Promise<Outcome<unknown>> {
    const proof = this.#proofs.run(`${readerKey(request)} ${request.digest}`, () =>
      this.#prove(request),
    );
    return waitFor(proof, signal);
  }

  async #prove(request: BlobRequest): Promise<Outcome<unknown>> {
    const { blobs, fills, lifetime } = this.#options;
    const { repository, digest, admission } = request;
    const { upstreamRepository, cached } = repository;
    const proof = await admission.client.headBlob(upstreamRepository, digest, lifetime);
    if (proof.kind !== 'found') return proof;
    const running = fills.find(digest);
    // Without the marker that must come before a link the blob is only passed on.
    if (running && (await this.#isMarked(request))) {
      running.repositories.set(readerKey(request), cached);
    }
    if (await blobs.stat(digest, lifetime)) await this.#link(request);
    return proof;
  }

  async #isMarked({ repository, admission }: BlobRequest): Promise<boolean> {
    try {
      await this.#options.verdicts.beforeStore(repository, admission);
      return true;
    } catch (error) {
      if (error instanceof StorageError) return false;
      throw error;
    }
  }

  async #link({ repository, digest, admission }: BlobRequest): Promise<void> {
    const { verdicts, members, log, lifetime } = this.#options;
    try {
      await verdicts.beforeStore(repository, admission);
      await members.add(repository.cached, 'blob', digest, lifetime);
      crashPoint('fill.blob-linked');
    } catch (error) {
      // The upstream has said that these bytes are its own: they may be read, whether or not that can be written down.
      log.warn({ operation: 'blob.link', err: error }, 'the cache could not be written');
    }
  }
}
