import { expect, test } from '@jest/globals';

import type { MembershipIndex } from '../index/ports.ts';
import { READ_CONCURRENCY } from '../index/store/map-bounded.ts';
import { digestOf } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/reference.ts';
import { makeImage } from '../../test/support/oci-fixtures.ts';
import { HeldContent } from './held-content.ts';

test('an image of thousands of layers asks the store for a few at once', async () => {
  const { manifest } = makeImage();
  const document = JSON.parse(manifest.bytes.toString()) as { layers: object[] };
  const layers = Array.from({ length: 2_000 }, (_, at) => ({
    ...document.layers[0],
    digest: digestOf(Buffer.from(`layer ${at}`)),
  }));
  const image = parseManifest(
    Buffer.from(JSON.stringify({ ...document, layers })),
    manifest.mediaType,
  );
  let [running, most] = [0, 0];
  const members: Pick<MembershipIndex, 'has'> = {
    has: async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return false;
    },
  };
  const held = new HeldContent(members as MembershipIndex, {
    get: () => Promise.resolve(undefined),
  });
  const missing = await held.missing('a/b' as RepositoryName, image, new AbortController().signal);
  expect(missing).toHaveLength(2_001);
  expect(most).toBeLessThanOrEqual(READ_CONCURRENCY);
});
