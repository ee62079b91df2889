import { pipeline, type Readable, Transform, type Writable } from 'node:stream';

import { LRUCache } from 'lru-cache';

import type { Clock } from '../lifecycle/clock.ts';
import { type Digest, digestAlgorithm, finishDigest, startDigest } from '../oci/digest.ts';
import type { RangeRequest } from '../oci/range.ts';
import type {
  BlobBody,
  BlobSource,
  BlobStat,
  BlobStore,
  InspectChunk,
} from '../storage/blob-store.ts';
import { StorageError } from '../storage/errors.ts';

/** How long bytes that were right are believed to stay so. */
const TRUST_MS = 3_600_000;
/** Blobs that are remembered, of each kind. */
const MAX_REMEMBERED = 50_000;

export interface CheckedPullsOptions {
  readonly clock: Clock;
  /** Called once for each time that stored bytes are found to be others than their digest says. */
  readonly onDamage: (digest: Digest) => void;
}

/**
 * The store with its blobs hashed on their way out, so that no client takes rotten bytes for a blob (I10): the last of
 * them are held back until the digest is right, and the body breaks where it is not. What was right is not hashed again
 * for an hour or until it is stored anew, and of a part nothing can be told. A blob that was found rotten is absent from
 * then on, so that clients push it again, until it is.
 */
export function withCheckedPulls(store: BlobStore, options: CheckedPullsOptions): BlobStore {
  return new CheckedPulls(store, options);
}

class CheckedPulls implements BlobStore {
  readonly #store: BlobStore;
  readonly #onDamage: (digest: Digest) => void;
  /** The version of each blob that was found right, or rotten. */
  readonly #intact: LRUCache<Digest, string>;
  readonly #rotten = new LRUCache<Digest, string>({ max: MAX_REMEMBERED });

  constructor(store: BlobStore, { clock, onDamage }: CheckedPullsOptions) {
    this.#store = store;
    this.#onDamage = onDamage;
    this.#intact = new LRUCache({
      max: MAX_REMEMBERED,
      ttl: TRUST_MS,
      ttlResolution: 0,
      perf: { now: () => clock.monotonicMs() },
    });
  }

  async stat(digest: Digest, signal: AbortSignal): Promise<BlobStat | undefined> {
    const found = await this.#store.stat(digest, signal);
    return found && this.#isRotten(digest, found.version) ? undefined : found;
  }

  async open(
    digest: Digest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<BlobBody | undefined> {
    const body = await this.#store.open(digest, range, signal);
    if (!body) return undefined;
    if (this.#isRotten(digest, body.version)) {
      body.stream.destroy();
      return undefined;
    }
    const isPart = body.length < body.totalBytes;
    if (isPart || this.#intact.get(digest) === (body.version ?? '')) return body;
    return checkedBody(body, this.#inspector(digest, body));
  }

  read(digest: Digest, maxBytes: number, signal: AbortSignal): Promise<Buffer | undefined> {
    return this.#store.read(digest, maxBytes, signal);
  }

  put(
    digest: Digest,
    body: BlobSource,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<BlobStat> {
    return this.#store.put(digest, body, size, signal);
  }

  delete(digest: Digest, signal: AbortSignal): Promise<void> {
    return this.#store.delete(digest, signal);
  }

  #isRotten(digest: Digest, version = ''): boolean {
    return this.#rotten.get(digest) === version;
  }

  /** Throws at the chunk that ends the body when the whole has another digest. */
  #inspector(digest: Digest, { length, version = '' }: BlobBody): InspectChunk {
    const algorithm = digestAlgorithm(digest);
    const hash = startDigest(algorithm);
    let seen = 0;
    return (chunk) => {
      hash.update(chunk);
      seen += chunk.length;
      if (seen < length) return;
      if (finishDigest(algorithm, hash) === digest) {
        this.#intact.set(digest, version);
        return;
      }
      this.#rotten.set(digest, version);
      this.#onDamage(digest);
      throw new StorageError('blob.read', `the stored bytes of ${digest} are damaged`);
    };
  }
}

/** The body, each chunk of which is inspected before anybody gets it. */
function checkedBody(body: BlobBody, inspect: InspectChunk): BlobBody {
  const { totalBytes, offset, length } = body;
  const copyTo = body.copyTo?.bind(body);
  let stream: Readable | undefined;
  return {
    totalBytes,
    offset,
    length,
    // Opened when it is asked for: whoever copies has no use for it.
    get stream() {
      stream ??= inspected(body.stream, inspect);
      return stream;
    },
    ...(copyTo && {
      copyTo: (destination: Writable) => copyTo(destination, inspect),
    }),
  };
}

function inspected(source: Readable, inspect: InspectChunk): Readable {
  const inspection = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      try {
        inspect(chunk);
      } catch (error) {
        done(error as Error);
        return;
      }
      done(null, chunk);
    },
  });
  // Its reader is told by the stream itself.
  return pipeline(source, inspection, () => undefined);
}
