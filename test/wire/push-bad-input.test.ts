import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { describeCalls } from './call-table.ts';
import { rawExchange } from './raw-exchange.ts';
import { layer, manifest, manifestType, unknownDigest } from './wire-content.ts';

const uuid = '11111111-2222-4333-8444-555555555555';
let folder: string;
let push: TwinportProcess;
const url = (): string => push.url;

beforeAll(async () => {
  folder = makeTempFolder('wire');
  push = await startTwinport({ role: 'push', storage: { dataDir: folder } });
});
afterAll(async () => {
  await push.stop();
  await removeTempFolder(folder);
});

describe('bad input', () => {
  const big = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
  describeCalls(url, [
    ...[
      '/v2/Team/app/tags/list',
      '/v2/team/-app/tags/list',
      `/v2/${'a'.repeat(256)}/tags/list`,
      '/v2/team%2Fapp/tags/list',
    ].map((path) => ({
      shows: 'refuses a name that is none',
      method: 'GET',
      path,
      status: 400,
      code: 'NAME_INVALID',
    })),
    {
      shows: 'refuses a tag that is none',
      method: 'PUT',
      path: '/v2/team/app/manifests/.hidden',
      headers: manifestType,
      body: manifest,
      status: 400,
      code: 'TAG_INVALID',
    },
    ...['sha256:abc', `sha256:${'A'.repeat(64)}`, `md5:${'a'.repeat(32)}`, 'sha256:..'].map(
      (digest) => ({
        shows: 'refuses a digest that is none',
        method: 'GET',
        path: `/v2/team/app/blobs/${digest}`,
        status: 400,
        code: 'DIGEST_INVALID',
      }),
    ),
    {
      shows: 'refuses a digest that is none at the end of an upload',
      method: 'POST',
      path: '/v2/team/app/blobs/uploads/?digest=sha256:abc',
      body: layer,
      status: 400,
      code: 'DIGEST_INVALID',
    },
    ...['-1', '1e3', 'x', '99999999999999999999999'].map((n) => ({
      shows: 'refuses a page size that is none',
      method: 'GET',
      path: `/v2/team/app/tags/list?n=${n}`,
      status: 400,
      code: 'PAGINATION_NUMBER_INVALID',
    })),
    {
      shows: 'refuses a manifest that is no JSON',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: manifestType,
      body: '{',
      status: 400,
      code: 'MANIFEST_INVALID',
    },
    {
      shows: 'refuses a manifest of another type than it says',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: { 'Content-Type': MEDIA_TYPES.ociIndex },
      body: manifest,
      status: 400,
      code: 'MANIFEST_INVALID',
    },
    {
      shows: 'refuses a manifest over 4 MiB',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: manifestType,
      body: big,
      status: 413,
    },
    {
      shows: 'refuses JSON that is too deep',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: manifestType,
      body: '['.repeat(100_000),
      status: 400,
      code: 'MANIFEST_INVALID',
    },
    {
      shows: 'refuses a body in another encoding',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: { ...manifestType, 'Content-Encoding': 'gzip' },
      body: manifest,
      status: 415,
    },
    ...(['GET', 'PATCH', 'PUT', 'DELETE'] as const).map((method) => ({
      shows: 'knows no upload that was never opened',
      method,
      path: `/v2/team/app/blobs/uploads/${uuid}${method === 'PUT' ? `?digest=${unknownDigest}` : ''}`,
      status: 404,
      code: 'BLOB_UPLOAD_UNKNOWN',
    })),
    {
      shows: 'says which methods a path has',
      method: 'POST',
      path: '/v2/team/app/manifests/v1',
      status: 405,
      code: 'UNSUPPORTED',
      answers: { Allow: /GET/ },
    },
    ...[
      '/v2/../../etc/passwd',
      '/v2/team/../app/tags/list',
      '/v2//team/app/tags/list',
      '/v2/team/app/blobs/..%2f..%2fetc',
      '/v2/team/%2e%2e/app/tags/list',
      '/v2/team/app\\..\\x/tags/list',
      '/v2/te%00am/app/tags/list',
    ].map((path) => ({
      shows: 'never follows a path that is none',
      method: 'GET',
      path,
      status: 400,
    })),
    ...['library/hello', 'local/app', 'mirror/library/app', 'docker.io/app', 'my.host/app'].map(
      (name) => ({
        shows: `refuses a push to the reserved name ${name}`,
        method: 'POST',
        path: `/v2/${name}/blobs/uploads/`,
        status: 403,
        code: 'DENIED',
      }),
    ),
  ]);

  test('refuses two Host headers', async () => {
    const answer = await rawExchange(url(), 'GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
    expect(answer.statuses).toEqual([400]);
  });

  test('refuses a target in absolute form', async () => {
    const answer = await rawExchange(
      url(),
      'GET http://elsewhere.example/v2/ HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n',
    );
    expect(answer.statuses).toEqual([400]);
  });
});
