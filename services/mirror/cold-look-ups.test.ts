import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { GatedRecordStore } from '../../test/support/gated-record-store.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, type TestMirror } from './testing/start-test-mirror.ts';
import { untilStored } from './testing/until-stored.ts';

const CACHED = 'docker/registry/v2/repositories/mirror/library/hello';

let upstream: FakeUpstream;
let store: TempStore;
let image: FixtureImage;
let mirrors: TestMirror[];

beforeEach(async () => {
  upstream = await startFakeUpstream();
  image = makeImage({ layerBytes: [200_000] });
  upstream.addImage('library/hello', '1', image);
  store = await createTempStore();
  mirrors = [];
});
afterEach(async () => {
  for (const mirror of mirrors) await mirror.stop();
  await upstream.stop();
  await store.remove();
});

/** A mirror over the store, and what it asks the store's records. */
async function startMirror(): Promise<{ mirror: TestMirror; records: GatedRecordStore }> {
  const records = new GatedRecordStore(store.records);
  const index = createStoreIndex(records, systemClock);
  const mirror = await startTestMirror(upstream.url, { store, over: { records, index } });
  mirrors.push(mirror);
  return { mirror, records };
}

/** What is looked for in the repository until the answer has come, first to last. */
async function asked(
  { mirror, records }: { mirror: TestMirror; records: GatedRecordStore },
  path: string,
): Promise<string[]> {
  records.operations.length = 0;
  expect((await mirror.send(`/v2/hello/${path}`)).status).toBe(200);
  return records.operations
    .filter((operation) => operation.includes(CACHED) && !operation.startsWith('put'))
    .map((operation) => operation.replace(CACHED, '').replace(/[0-9a-f]{64}/, '…'));
}

describe('what the store is asked before an upstream is', () => {
  test('for a tag of a repository that is new: its marker, before and as the only one who asks', async () => {
    const started = await startMirror();
    // The manifest is on its way to the store when its answer goes out; nothing of that comes before the upstream's.
    const marked = started.records.gate('before', 'put', `${CACHED}/_twinport/origin`);
    const operations = await asked(started, 'manifests/1');
    marked.release();
    const marker = 'get /_twinport/origin';
    expect(operations.slice(0, 3)).toEqual([marker, marker, 'list ']);
    expect(operations.filter((operation) => operation.startsWith('list'))).toHaveLength(1);
  });

  test('whether a new repository is somebody else’s is found out beside the upstream’s answer, and before it is stored', async () => {
    const { mirror, records } = await startMirror();
    const listing = records.gate('before', 'list', CACHED);
    const answered = mirror.send('/v2/hello/manifests/1');
    await until(() => upstream.count('GET', '/v2/library/hello/manifests/1') === 1);
    expect(
      records.operations.filter(
        (operation) => operation.startsWith('put') && operation.includes(CACHED),
      ),
    ).toEqual([]);
    listing.release();
    expect((await answered).headers['x-cache']).toMatch(/^MISS;/);
    await untilStored(mirror, '1');
  });

  test('for a blob: its link, before and as the only one who asks', async () => {
    const started = await startMirror();
    await asked(started, 'manifests/1');
    await untilStored(started.mirror, '1');
    const layer = image.blobs.at(-1)!;
    const operations = await asked(started, `blobs/${layer.digest}`);
    const link = 'get /_layers/sha256/…/link';
    expect(operations.filter((operation) => operation.includes('_layers'))).toEqual([link, link]);
    expect(operations.filter((operation) => operation.startsWith('list'))).toEqual([]);
  });

  test('for a blob of a repository that another mirror has marked: its marker, and no listing', async () => {
    const first = await startMirror();
    await asked(first, 'manifests/1');
    await untilStored(first.mirror, '1');
    const layer = image.blobs.at(-1)!;
    const operations = await asked(await startMirror(), `blobs/${layer.digest}`);
    expect(operations[0]).toBe('get /_twinport/origin');
    expect(operations.filter((operation) => operation.startsWith('list'))).toEqual([]);
  });
});
