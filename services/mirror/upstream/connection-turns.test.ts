import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { testUpstream } from '../../../shared/config/testing/test-upstream.ts';
import { RecordedEdge } from '../../../shared/http/testing/recorded-edge.ts';
import { ProcessHints } from '../../../shared/index/store/process-hints.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { parseDigest } from '../../../shared/oci/digest.ts';
import type { RepositoryName, Tag } from '../../../shared/oci/reference.ts';
import { type FakeUpstream, startFakeUpstream } from '../../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../../test/support/oci-fixtures.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import type { Outcome } from './outcome.ts';
import type { UpstreamManifestStat } from './upstream-client.ts';
import { type UpstreamConnection, UpstreamConnections } from './upstream-connections.ts';

const REPOSITORY = 'library/hello' as RepositoryName;
const NO_PROXIES = { http: undefined, https: undefined, exceptions: undefined };
const TAG = { kind: 'tag', tag: '1' as Tag } as const;

describe('an upstream of two connections, both of which bring a blob', () => {
  const lifetime = new AbortController();
  let clock: ManualClock;
  let fake: FakeUpstream;
  let image: FixtureImage;
  let connections: UpstreamConnections;
  let end: () => void;
  let bodies: readonly { destroy(): unknown }[];

  const toUpstream = (): UpstreamConnection =>
    connections.to(testUpstream({ url: fake.url, maxConnections: 2 }));
  const askTag = (): Promise<Outcome<UpstreamManifestStat>> =>
    toUpstream().anonymous.headManifest(REPOSITORY, TAG, lifetime.signal);

  beforeEach(async () => {
    clock = new ManualClock();
    fake = await startFakeUpstream();
    image = makeImage();
    fake.addImage(REPOSITORY, '1', image);
    const held = Promise.withResolvers<undefined>();
    end = () => held.resolve(undefined);
    fake.behaviour.blobPauses = [{ atByte: 1, until: held.promise }];
    connections = new UpstreamConnections({
      ...{ upstreams: [], clock, observer: new RecordedEdge().observer, proxies: NO_PROXIES },
      hints: new ProcessHints(clock),
      blocks: { blockOf: () => Promise.resolve(undefined) },
      lifetime: lifetime.signal,
    });
    const { anonymous } = toUpstream();
    bodies = await Promise.all(
      [1, 2].map(async () => {
        const [, layer] = image.blobs;
        const digest = parseDigest(layer!.digest)!;
        const opened = await anonymous.openBlob(REPOSITORY, digest, 0, lifetime.signal);
        if (opened.kind !== 'found') throw new Error(opened.kind);
        return opened.value.body.on('error', () => undefined).resume();
      }),
    );
    fake.forget();
  });
  afterEach(async () => {
    end();
    await connections.close();
    await fake.stop();
  });

  test('leaves other questions waiting for five seconds, and is not taken for one that does not answer', async () => {
    const asked = Array.from({ length: 8 }, askTag);
    await waitFor(() => clock.sleepers === 8, { what: 'all to wait' });
    clock.advance(5_000);
    expect(await Promise.all(asked)).toEqual(
      asked.map(() => ({ kind: 'limited', retryAfterSeconds: 5 })),
    );
    expect([fake.seen.length, toUpstream().breaker.isOpen]).toEqual([0, false]);
  });

  test('answers a waiting question when one of the blobs has come, or is not wanted any more', async () => {
    const asked = askTag();
    await waitFor(() => clock.sleepers === 1, { what: 'it to wait' });
    bodies[0]!.destroy();
    expect((await asked).kind).toBe('found');
    end();
    expect((await askTag()).kind).toBe('found');
  });
});
