import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { type ManagedPush, PASSWORD, startManagedPush } from './testing/start-managed-push.ts';

const mediaType = MEDIA_TYPES.ociIndex;
const MANIFEST = JSON.stringify({ schemaVersion: 2, mediaType, manifests: [] });
const DIGEST = digestOf(Buffer.from(MANIFEST));
const BLOB = Buffer.from('a blob');

let push: ManagedPush;
beforeAll(async () => {
  push = await startManagedPush(undefined, { isDeleteEnabled: false });
});
afterAll(() => push.close());

test('an administrator deletes nothing where deletes are switched off, by whichever way (T-AZ3)', async () => {
  const authorization = `Basic ${Buffer.from(`root:${PASSWORD}`).toString('base64')}`;
  const send = (method: string, target: string, body?: Buffer | string) =>
    push.send(target, {
      method,
      headers: { authorization, 'content-type': mediaType },
      ...(body !== undefined && { body }),
    });
  const app = '/v2/team/app';
  expect((await send('PUT', `${app}/manifests/v1`, MANIFEST)).status).toBe(201);
  const upload = `${app}/blobs/uploads/?digest=${digestOf(BLOB)}`;
  expect((await send('POST', upload, BLOB)).status).toBe(201);
  for (const target of [
    `${app}/manifests/v1`,
    `${app}/manifests/${DIGEST}`,
    `${app}/blobs/${digestOf(BLOB)}`,
    '/api/v1/repositories/team/app/-/tags/v1',
    `/api/v1/repositories/team/app/-/manifests/${DIGEST}`,
  ]) {
    const { status } = await send('DELETE', target);
    expect([target, [404, 405].includes(status)]).toEqual([target, true]);
  }
  for (const rest of ['manifests/v1', `manifests/${DIGEST}`, `blobs/${digestOf(BLOB)}`]) {
    expect([rest, (await send('GET', `${app}/${rest}`)).status]).toEqual([rest, 200]);
  }
});
