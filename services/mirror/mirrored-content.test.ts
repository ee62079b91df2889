import { Readable } from 'node:stream';

import { expect, test } from '@jest/globals';

import { testUpstream } from '../../shared/config/testing/test-upstream.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import type { BlobBody } from '../../shared/storage/blob-store.ts';
import { MirroredContent, type MirroredContentOptions } from './mirrored-content.ts';

const { signal } = new AbortController();
const upstreamRepository = 'library/hello' as RepositoryName;
const requested = { name: upstreamRepository, namespace: undefined };
const digest = digestOf(Buffer.from('a layer'));

test('a client waits ten seconds for an upstream that hangs, and what comes later is let go', async () => {
  const clock = new ManualClock();
  const opened = Promise.withResolvers<BlobBody>();
  const content = new MirroredContent({
    clock,
    names: {
      resolve: () =>
        Promise.resolve({
          kind: 'upstream',
          upstream: testUpstream(),
          upstreamRepository,
          cached: 'mirror/library/hello',
        }),
    },
    manifests: { pull: () => new Promise(() => undefined) },
    blobs: { open: () => opened.promise },
  } as unknown as MirroredContentOptions);
  const asked = [
    content.manifest(requested, { kind: 'digest', digest }, signal),
    content.blob(requested, digest, { range: undefined, mayRedirect: false }, signal),
  ].map((answer) => answer.catch((error: unknown) => error));
  await until(() => clock.sleepers === 2);
  clock.advance(10_000);
  for (const answer of await Promise.all(asked)) {
    expect(answer).toMatchObject({ status: 503, headers: { 'Retry-After': '5' } });
  }
  const stream = Readable.from(['a layer']);
  opened.resolve({ totalBytes: 7, offset: 0, length: 7, stream });
  await until(() => stream.destroyed);
});
