import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { TestAnswer } from '../../shared/http/testing/http-client.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

let push: TestPush;
beforeAll(async () => {
  push = await startPush();
});
afterAll(() => push.close());

const SCRIPT = '<script>alert(document.domain)</script>';

/** Pushes what a browser could take for a page, and pulls it again. */
async function throughRegistry(mediaType: string, method: string): Promise<TestAnswer> {
  const manifest = { schemaVersion: 2, mediaType, manifests: [], annotations: { note: SCRIPT } };
  const pushed = await push.send('/v2/team/app/manifests/page', {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: JSON.stringify(manifest),
  });
  expect(pushed.status).toBe(201);
  return await push.send('/v2/team/app/manifests/page', { method });
}

test.each([
  ['text/html', 'GET'],
  ['text/html', 'HEAD'],
  ['image/svg+xml', 'GET'],
  ['application/xhtml+xml', 'GET'],
  ['application/json', 'GET'],
  ['application/vnd.x+xml', 'GET'],
])('no browser shows a manifest of the type %s as a page (%s)', async (mediaType, method) => {
  const { status, headers } = await throughRegistry(mediaType, method);
  expect(status).toBe(200);
  expect(headers).toMatchObject({
    'content-type': mediaType,
    'x-content-type-options': 'nosniff',
    'content-disposition': 'attachment',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  });
});

test('the formats of images, which no browser shows, go without', async () => {
  const { headers } = await throughRegistry(MEDIA_TYPES.ociIndex, 'GET');
  expect(headers).not.toHaveProperty('content-disposition');
  expect(headers).not.toHaveProperty('content-security-policy');
});
