import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import type { RegistryIndex } from '../index/ports.ts';
import { createStoreIndex } from '../index/store/create-store-index.ts';
import { MemoryRecordStore } from '../index/testing/memory-record-store.ts';
import { systemClock } from '../lifecycle/clock.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { MANIFEST_MAX_BYTES } from '../oci/media-types.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import type { ReferrerPage, ReferrerPageRequest } from './content-source.ts';
import { ReferrerPages } from './referrer-pages.ts';

const signal = new AbortController().signal;
const team = parseRepositoryName('team/app')!;
const subject = digestOf(Buffer.from('subject'));
const ALL: ReferrerPageRequest = { artifactTypes: [], after: undefined, size: Infinity };

const referrer = (text: string, more: Partial<Descriptor> = {}): Descriptor => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: digestOf(Buffer.from(text)),
  size: text.length,
  ...more,
});
const byDigest = (a: Descriptor, b: Descriptor): number => (a.digest < b.digest ? -1 : 1);

class Bench {
  readonly index: RegistryIndex = createStoreIndex(new MemoryRecordStore(), systemClock);
  readonly #pages = new ReferrerPages(this.index);

  async push(...descriptors: readonly Descriptor[]): Promise<void> {
    for (const descriptor of descriptors) {
      await this.index.members.add(team, 'manifest', descriptor.digest, signal);
      await this.index.referrers.add(team, subject, descriptor, signal);
    }
  }

  page(
    request: Partial<ReferrerPageRequest> = {},
    listed: readonly Descriptor[] = [],
  ): Promise<ReferrerPage> {
    return this.#pages.page(team, subject, listed, { ...ALL, ...request }, signal);
  }

  /** All pages, as a client follows them. */
  async follow(
    request: Partial<ReferrerPageRequest>,
    listed: readonly Descriptor[] = [],
  ): Promise<(readonly Descriptor[])[]> {
    const pages: (readonly Descriptor[])[] = [];
    let after: Digest | undefined;
    do {
      const page = await this.page({ ...request, after }, listed);
      pages.push(page.descriptors);
      after = page.next;
    } while (after !== undefined);
    return pages;
  }
}

describe('pages of referrers', () => {
  test('there is one page of what fits into it', async () => {
    const bench = new Bench();
    const all = Array.from({ length: 500 }, (_, i) => referrer(`${i}`)).sort(byDigest);
    await bench.push(...all);
    expect(await bench.page()).toEqual({ descriptors: all, next: undefined });
  });

  test('give each referrer once and in order, pushed or listed, for every size and filter', async () => {
    const types = fc.constantFrom(undefined, 'a/one', 'a/two');
    const entries = fc.uniqueArray(
      fc.record({ id: fc.nat(40), type: types, isPushed: fc.boolean(), isListed: fc.boolean() }),
      { selector: ({ id }) => id, maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(
        entries,
        fc.integer({ min: 1, max: 8 }),
        fc.subarray(['a/one', 'a/two', 'a/none']),
        async (found, size, artifactTypes) => {
          const bench = new Bench();
          const described = found.map(({ id, type, ...where }) => ({
            ...where,
            descriptor: referrer(`${id}`, { ...(type && { artifactType: type }) }),
          }));
          await bench.push(...described.filter((one) => one.isPushed).map((one) => one.descriptor));
          const listed = described.filter((one) => one.isListed).map((one) => one.descriptor);
          const wanted = described
            .filter((one) => one.isPushed || one.isListed)
            .map((one) => one.descriptor)
            .filter(({ artifactType }) =>
              artifactTypes.length === 0 ? true : artifactTypes.includes(artifactType ?? ''),
            )
            .sort(byDigest);
          const pages = await bench.follow({ size, artifactTypes }, listed);
          expect(pages.flat()).toEqual(wanted);
          expect(pages.length).toBe(Math.max(1, Math.ceil(wanted.length / size)));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('are no larger than the manifests that clients take', async () => {
    const bench = new Bench();
    const sizes = [2_000_000, 10, 4_100_000, 300_000, 1_000_000, 3_000_000, 900_000, 10];
    const all = sizes.map((size, i) =>
      referrer(`${i}`, { annotations: { text: '\u00e9'.repeat(size / 2) } }),
    );
    await bench.push(...all);
    const pages = await bench.follow({});
    expect(pages.flat()).toEqual(all.sort(byDigest));
    expect(pages.length).toBeGreaterThan(2);
    for (const page of pages) {
      const bytes = Buffer.byteLength(JSON.stringify({ schemaVersion: 2, manifests: page }));
      expect(bytes).toBeLessThanOrEqual(MANIFEST_MAX_BYTES);
    }
  });

  test('of a referrer that is larger than a page have that one alone', async () => {
    const bench = new Bench();
    const large = referrer('large', { annotations: { text: 'x'.repeat(MANIFEST_MAX_BYTES) } });
    const small = ['a', 'b', 'c', 'd'].map((text) => referrer(text));
    await bench.push(...small);
    const pages = await bench.follow({}, [large]);
    expect(pages.flat()).toEqual([...small, large].sort(byDigest));
    expect(pages).toContainEqual([large]);
  });

  test('have nothing, and nothing after it, when none was asked for', async () => {
    const bench = new Bench();
    await bench.push(referrer('a'));
    expect(await bench.page({ size: 0 })).toEqual({ descriptors: [], next: undefined });
  });

  test('pass over referrers whose manifest is gone', async () => {
    const bench = new Bench();
    const [ghost, held] = [referrer('ghost'), referrer('held')];
    await bench.push(ghost, held);
    await bench.index.members.remove(team, 'manifest', ghost.digest, signal);
    expect(await bench.follow({ size: 1 })).toEqual([[held]]);
  });

  test('stay right while referrers come and go between them', async () => {
    const bench = new Bench();
    const all = Array.from({ length: 9 }, (_, i) => referrer(`${i}`)).sort(byDigest);
    const [first, ...others] = all;
    await bench.push(...others);
    const page = await bench.page({ size: 3 });
    expect(page.descriptors).toEqual(others.slice(0, 3));
    // One that comes before what was given is for the next listing; the `last` of a page may be gone.
    await bench.push(first!);
    await bench.index.members.remove(team, 'manifest', page.next!, signal);
    const rest = await bench.page({ after: page.next });
    expect(rest.descriptors).toEqual(others.slice(3));
  });
});
