import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { type FakeUpstream, startFakeUpstream } from '../../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage, makeIndex } from '../../../test/support/oci-fixtures.ts';
import { isLinked } from '../testing/is-linked.ts';
import { startTestMirror, type TestMirror } from '../testing/start-test-mirror.ts';

let upstream: FakeUpstream;
let folder: string;
let file: string;
const mirrors: TestMirror[] = [];

beforeEach(async () => {
  upstream = await startFakeUpstream();
  folder = mkdtempSync(path.join(tmpdir(), 'warm-'));
  file = path.join(folder, 'images.txt');
});

afterEach(async () => {
  // What outlives one mirror is removed with the one that made it.
  for (const mirror of mirrors.splice(0).reverse()) await mirror.stop();
  await upstream.stop();
  rmSync(folder, { recursive: true });
});

async function start(store?: TestMirror['store']): Promise<TestMirror> {
  const schedule = { kind: 'interval', ms: 24 * 60 * 60_000 } as const;
  const warm = { file, schedule, platforms: ['linux/arm64'] };
  const mirror = await startTestMirror(upstream.url, { warm, ...(store && { store }) });
  mirrors.push(mirror);
  return mirror;
}

const isHeld = async (
  mirror: TestMirror,
  { blobs }: FixtureImage,
  name: string,
): Promise<boolean> => {
  const answers = await Promise.all(blobs.map(({ digest }) => isLinked(mirror, digest, name)));
  return answers.every(Boolean);
};
const told = (mirror: TestMirror): Record<string, unknown>[] =>
  mirror.edge.lines
    .filter(({ message }) => message.includes('kept warm'))
    .map(({ fields }) => fields);

test('a list is pulled at the start and held: images, the platforms of indexes, and what fails is told', async () => {
  const image = makeImage();
  const index = makeIndex(['amd64', 'arm64']);
  upstream.addImage('library/one', '1', image);
  upstream.addIndex('team/two', 'latest', index);
  writeFileSync(file, 'one:1 # base\n\nteam/two\nmissing:1\nlocal/team/pushed:1\nno reference\n');
  const mirror = await start();
  await until(() => told(mirror).some(({ held }) => held === 3));
  expect(await isHeld(mirror, image, 'mirror/library/one')).toBe(true);
  const [amd, arm] = index.images;
  expect(await isHeld(mirror, arm!, 'mirror/team/two')).toBe(true);
  expect(upstream.seen.filter(({ path: asked }) => asked.endsWith(amd!.manifest.digest))).toEqual(
    [],
  );
  expect(told(mirror)).toContainEqual({ operation: 'warm', held: 3, failed: 1 });
  expect(told(mirror)).toContainEqual({
    operation: 'warm',
    image: 'missing:1',
    reason: 'the upstream has no such image',
  });
  // Nobody asked for any of it.
  expect(mirror.proxied.every(({ outcome }) => outcome === 'background')).toBe(true);
});

test('a mirror that ends in the middle of it ends at once, and the next one goes on', async () => {
  const image = makeImage({ layerBytes: [200_000] });
  upstream.addImage('library/one', '1', image);
  writeFileSync(file, 'one:1');
  const gate = Promise.withResolvers<undefined>();
  upstream.behaviour.blobPauses = [{ atByte: 100, until: gate.promise }];
  const first = await start();
  await until(() => upstream.seen.some(({ path: asked }) => asked.includes('/blobs/')));
  await first.role.close();
  gate.resolve(undefined);
  upstream.behaviour.blobPauses = [];
  const second = await start(first.store);
  await until(() => isHeld(second, image, 'mirror/library/one'));
});
