import pLimit from 'p-limit';

import type { RegistryIndex } from '../index/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { MANIFEST_MAX_BYTES } from '../oci/media-types.ts';
import type { RepositoryName } from '../oci/reference.ts';
import type { ReferrerPage, ReferrerPageRequest } from './content-source.ts';

/** What the descriptors of a page have at most, as JSON: with the index around them, a manifest that clients take. */
export const REFERRER_PAGE_BYTES = MANIFEST_MAX_BYTES - 1024;
/** Batches of descriptors that are in memory at once, whoever asked for them. */
const BATCHES_AT_ONCE = 4;
const LOOK_UPS_AT_ONCE = 16;

/**
 * Pages of the referrers of a subject: those that were pushed with `subject`, merged with those that an older client
 * listed under the subject's fallback tag. What is in memory is bounded by the page, however many there are and
 * whatever annotations they carry.
 */
export class ReferrerPages {
  readonly #index: Pick<RegistryIndex, 'members' | 'referrers'>;
  readonly #limitBatches = pLimit(BATCHES_AT_ONCE);
  readonly #limitLookUps = pLimit(LOOK_UPS_AT_ONCE);

  constructor(index: Pick<RegistryIndex, 'members' | 'referrers'>) {
    this.#index = index;
  }

  /** `listed` are the referrers of the fallback tag, in any order. */
  async page(
    repository: RepositoryName,
    subject: Digest,
    listed: readonly Descriptor[],
    request: ReferrerPageRequest,
    signal: AbortSignal,
  ): Promise<ReferrerPage> {
    const { after } = request;
    const held = this.#held(repository, subject, after, signal);
    return cutPage(merged(held, sortedAfter(listed, after)), request);
  }

  /** Of `listed` alone. */
  pageOfListed(listed: readonly Descriptor[], request: ReferrerPageRequest): Promise<ReferrerPage> {
    return cutPage(sortedAfter(listed, request.after), request);
  }

  /** A push and a delete of one referrer that ran beside each other may have left the list without the manifest. */
  async *#held(
    repository: RepositoryName,
    subject: Digest,
    after: Digest | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Descriptor[]> {
    const { members, referrers } = this.#index;
    const batches = referrers.list(repository, subject, after, signal)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const batch = await this.#limitBatches(async () => {
          const next = await batches.next();
          if (next.done === true) return undefined;
          const areHere = await Promise.all(
            next.value.map(({ digest }) =>
              this.#limitLookUps(() => members.has(repository, 'manifest', digest, signal)),
            ),
          );
          return next.value.filter((_, position) => areHere[position]);
        });
        if (!batch) return;
        yield batch;
      }
    } finally {
      await batches.return?.();
    }
  }
}

async function cutPage(
  inOrder: AsyncIterable<Descriptor> | Iterable<Descriptor>,
  { artifactTypes, size }: ReferrerPageRequest,
): Promise<ReferrerPage> {
  const descriptors: Descriptor[] = [];
  if (size === 0) return { descriptors, next: undefined };
  let bytes = 0;
  for await (const descriptor of inOrder) {
    if (!isOfType(descriptor, artifactTypes)) continue;
    bytes += Buffer.byteLength(JSON.stringify(descriptor)) + 1;
    const isFull = descriptors.length >= size || bytes > REFERRER_PAGE_BYTES;
    // One that alone is too large is a page of its own: nobody gets past it otherwise.
    if (isFull && descriptors.length > 0) return { descriptors, next: descriptors.at(-1)?.digest };
    descriptors.push(descriptor);
  }
  return { descriptors, next: undefined };
}

/** Both sorted by digest; where both have one, the first is given. */
async function* merged(
  batches: AsyncIterable<readonly Descriptor[]>,
  others: readonly Descriptor[],
): AsyncGenerator<Descriptor> {
  let at = 0;
  for await (const batch of batches) {
    for (const descriptor of batch) {
      for (let other = others[at]; other && other.digest <= descriptor.digest; other = others[at]) {
        if (other.digest !== descriptor.digest) yield other;
        at += 1;
      }
      yield descriptor;
    }
  }
  yield* others.slice(at);
}

function sortedAfter(
  descriptors: readonly Descriptor[],
  after: Digest | undefined,
): readonly Descriptor[] {
  const byDigest = new Map(descriptors.map((descriptor) => [descriptor.digest, descriptor]));
  return [...byDigest.values()]
    .filter(({ digest }) => after === undefined || digest > after)
    .sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

const isOfType = ({ artifactType }: Descriptor, types: readonly string[]): boolean =>
  types.length === 0 || (artifactType !== undefined && types.includes(artifactType));
