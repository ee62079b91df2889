import { readdirSync, utimesSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { markCached, openProcess, putImage } from '../mirror/eviction/testing/eviction-lab.ts';
import { runInProcess } from './testing/run-in-process.ts';

const REPOSITORY = 'mirror/library/app' as RepositoryName;
let store: TempStore;
let image: FixtureImage;
let heldBytes: number;

beforeAll(async () => {
  store = await createTempStore();
  image = makeImage();
  heldBytes = [...image.blobs, image.manifest].reduce((sum, { bytes }) => sum + bytes.length, 0);
  const lab = openProcess(store, systemClock);
  await markCached(lab, REPOSITORY);
  await putImage(lab, REPOSITORY, '1', image);
  // What came within the last minute would stay.
  const old = new Date(Date.now() - 3_600_000);
  for (const entry of readdirSync(store.folder, { recursive: true, encoding: 'utf8' })) {
    utimesSync(path.join(store.folder, entry), old, old);
  }
});
afterAll(() => store.remove());

async function twinport(line: string, env: Record<string, string> = {}) {
  const { code, text } = await runInProcess(line.split(' '), {
    env: { DATA_DIR: store.folder, ...env },
  });
  return { code, text };
}

const MIRROR = { RUN_AS_MIRROR: 'true', CACHE_MIN_AGE_SECONDS: '0' };

test('a dry run lists what would go, and nothing goes', async () => {
  const env = { ...MIRROR, CACHE_MAX_BYTES: '1' };
  const { code, text } = await twinport('evict --dry-run', env);
  expect(code).toBe(0);
  expect(text).toContain(`The cache holds ${heldBytes} bytes.`);
  expect(text).toContain(`would go: image ${REPOSITORY}:1@${image.manifest.digest}, last used 20`);
  expect(text).toContain('Would evict 1 images and blobs; 0 bytes would be left.');
  expect((await twinport('evict --dry-run', env)).text).toBe(text);
});

test('what is pinned does not go, which is told by the exit code too', async () => {
  const env = { ...MIRROR, CACHE_MAX_BYTES: '1' };
  expect((await twinport('pins')).text).toBe('Nothing is pinned.');
  expect(await twinport('pin docker.io/app:1 --reason for the demo')).toEqual({
    code: 0,
    text: `${REPOSITORY}:1 is pinned.`,
  });
  expect((await twinport('pins')).text).toMatch(
    /^20\S+Z {2}mirror\/library\/app:1 {2}for the demo$/,
  );
  const { code, text } = await twinport('evict', env);
  expect(code).toBe(1);
  expect(text).toContain('The budget of the cache is missed by');
  expect(text).toContain('Evicted 0 images');
  expect((await twinport('unpin mirror/library/app:1')).code).toBe(0);
  expect((await twinport('unpin mirror/library/app:1')).code).toBe(1);
});

test('within its budget nothing goes', async () => {
  const { code, text } = await twinport('evict', { ...MIRROR, CACHE_MAX_BYTES: '1000000' });
  expect([code, text]).toEqual([
    0,
    `The cache holds ${heldBytes} bytes.\n  mirror  ${heldBytes}\n` +
      'Evicted 0 images; 0 blobs and manifests, 0 bytes, are removed.',
  ]);
});

test('blocks are made, listed and taken back', async () => {
  const { digest } = image.manifest;
  expect((await twinport(`block ${digest} --reason CVE-1`)).text).toBe(`${digest} is blocked.`);
  expect((await twinport('blocks')).text).toMatch(new RegExp(`^20\\S+Z {2}${digest} {2}CVE-1$`));
  expect(await twinport(`unblock ${digest}`)).toEqual({
    code: 0,
    text: `${digest} is not blocked any more.`,
  });
  expect((await twinport('blocks')).text).toBe('Nothing is blocked.');
});

test.each([
  ['evict', {}, 'set RUN_AS_MIRROR=true'],
  ['evict', MIRROR, 'there is no budget'],
  ['evict --all', MIRROR, 'it takes --dry-run alone'],
  ['block', {}, 'say one reference or digest'],
  ['block a b', {}, 'say one reference or digest'],
  ['block app --reason', {}, '--reason needs a text'],
  ['block sha256:12', {}, 'neither a digest nor'],
  ['unpin a --reason b', {}, 'say one reference or digest'],
])('%s is refused where it makes no sense', async (line, env, reason) => {
  const { code, text } = await twinport(line, env);
  expect(code).toBe(2);
  expect(text).toContain(reason);
});
