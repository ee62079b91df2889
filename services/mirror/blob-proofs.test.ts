import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureBlob, randomBlob } from '../../test/support/oci-fixtures.ts';
import { startTestMirror, type TestMirror } from './testing/start-test-mirror.ts';

const NODES = 8;

let upstream: FakeUpstream;
let store: TempStore;
let layer: FixtureBlob;
let mirror: TestMirror;

beforeEach(async () => {
  upstream = await startFakeUpstream();
  layer = randomBlob(100_000);
  for (const name of ['hello', 'other']) {
    upstream.addBlob(`library/${name}`, layer.digest, layer.bytes);
  }
  store = await createTempStore();
});
afterEach(async () => {
  await mirror.stop();
  await store.remove();
  await upstream.stop();
});

test('a layer that is here through another repository is proved once and linked once for all who want it at once', async () => {
  const index = createStoreIndex(store.records, systemClock);
  const add = jest.spyOn(index.members, 'add');
  const stat = jest.spyOn(store.blobs, 'stat');
  mirror = await startTestMirror(upstream.url, { store, over: { index } });
  await mirror.send(`/v2/hello/blobs/${layer.digest}`);
  await until(async () => {
    await Promise.all(add.mock.results.map(({ value }) => value as Promise<void>));
    return add.mock.calls.length === 1;
  });
  upstream.forget();
  const released = Promise.withResolvers<undefined>();
  upstream.behaviour.hold = released.promise;
  stat.mockClear();
  const path = `/v2/other/blobs/${layer.digest}`;
  const pulls = Array.from({ length: NODES }, () => mirror.send(path));
  // Each of them has found it in the store.
  await until(() => stat.mock.calls.length >= NODES && upstream.seen.length > 0);
  await Promise.all(stat.mock.results.map(({ value }) => value as Promise<unknown>));
  released.resolve(undefined);
  for (const { body } of await Promise.all(pulls)) expect(body.equals(layer.bytes)).toBe(true);
  expect(upstream.seen.map(({ method }) => method)).toEqual(['HEAD']);
  expect(add.mock.calls.map(([name]) => name)).toEqual([
    'mirror/library/hello',
    'mirror/library/other',
  ]);
});
