import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { blobKey } from '../../shared/storage/object-keys.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

const signal = new AbortController().signal;
const config = Buffer.from('{}');
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.length,
    },
    layers: [],
  }),
);

let push: TestPush;
beforeEach(async () => {
  push = await startPush();
  await pushBlob();
  await pushManifest();
});
afterEach(() => push.close());

const blobPath = `/v2/team/app/blobs/${digestOf(config)}`;
const pushBlob = async (): Promise<void> => {
  const opened = await push.send('/v2/team/app/blobs/uploads/', { method: 'POST' });
  const path = `${String(opened.headers.location)}?digest=${digestOf(config)}`;
  const put = await push.send(path, { method: 'PUT', body: config });
  expect(put.status).toBe(201);
};
const putManifest = (): ReturnType<TestPush['send']> =>
  push.send('/v2/team/app/manifests/1', {
    method: 'PUT',
    headers: { 'content-type': MEDIA_TYPES.ociManifest },
    body: manifest,
  });
const pushManifest = async (): Promise<void> => {
  expect((await putManifest()).status).toBe(201);
};
const statuses = (path: string): Promise<number[]> =>
  Promise.all(['GET', 'HEAD'].map(async (method) => (await push.send(path, { method })).status));
const lose = (digest: Digest): Promise<void> => push.store.blobs.delete(digest, signal);

test('a blob that the store has lost is 404 to GET and HEAD, told to the operator, and healed by a push', async () => {
  await lose(digestOf(config));
  expect(await statuses(blobPath)).toEqual([404, 404]);
  expect(push.edge.damages).toEqual(['blob-missing', 'blob-missing']);
  const told = push.edge.lines.filter(({ level }) => level === 'error');
  expect(told[0]?.fields).toMatchObject({ repository: 'team/app', reference: digestOf(config) });
  await pushBlob();
  expect(await statuses(blobPath)).toEqual([200, 200]);
});

test('a manifest that names a blob the store has lost is refused until the blob is pushed again', async () => {
  await lose(digestOf(config));
  const refused = await putManifest();
  expect(refused.status).toBe(400);
  expect(refused.body.toString()).toContain('MANIFEST_BLOB_UNKNOWN');
  await pushBlob();
  await pushManifest();
});

test('a blob that was deleted, or was never there, is no damage', async () => {
  expect((await push.send(blobPath, { method: 'DELETE' })).status).toBe(202);
  expect(await statuses(blobPath)).toEqual([404, 404]);
  expect(await statuses(blobPath.replace('team/app', 'team/other'))).toEqual([404, 404]);
  expect(push.edge.damages).toEqual([]);
});

test('a manifest that the store has lost is 404, told to the operator, and healed by a push', async () => {
  await lose(digestOf(manifest));
  expect(await statuses('/v2/team/app/manifests/1')).toEqual([404, 404]);
  expect(push.edge.damages).toEqual(['manifest-missing', 'manifest-missing']);
  await pushManifest();
  expect(await statuses('/v2/team/app/manifests/1')).toEqual([200, 200]);
});

test('a manifest whose bytes are damaged is never served, told to the operator, and healed by a push', async () => {
  const damaged = Buffer.from(manifest);
  damaged[10] = 0;
  await push.store.records.put(blobKey(digestOf(manifest)), damaged, signal);
  expect(await statuses('/v2/team/app/manifests/1')).toEqual([503, 503]);
  expect(push.edge.damages).toEqual(['manifest-damaged', 'manifest-damaged']);
  await pushManifest();
  expect(await statuses('/v2/team/app/manifests/1')).toEqual([200, 200]);
});
