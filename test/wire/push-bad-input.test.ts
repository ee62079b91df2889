import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { call, describeCalls } from './call-table.ts';
import { rawExchange } from './raw-exchange.ts';
import {
  config,
  configDigest,
  layer,
  manifest,
  manifestType,
  unknownDigest,
} from './wire-content.ts';

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
    ...[
      { Layers: [], manifests: [] },
      { layers: [], manifests: [] },
      { layers: [{ mediaType: 'a/b', digest: unknownDigest, size: -1 }] },
    ].map((fields) => ({
      shows: 'refuses a manifest that two readers understand in two ways',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: { 'Content-Type': 'application/vnd.example.any+json' },
      body: JSON.stringify(fields),
      status: 400,
      code: 'MANIFEST_INVALID',
    })),
    {
      shows: 'refuses a key given twice',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: manifestType,
      body: manifest.toString().replace('{', '{"layers":[],'),
      status: 400,
      code: 'MANIFEST_INVALID',
    },
    ...['1e400', '9007199254740993', '-7', '1.5', '"7"'].map((size) => ({
      shows: 'refuses a size that is none',
      method: 'PUT',
      path: '/v2/team/app/manifests/bad',
      headers: manifestType,
      body: manifest.toString().replace(/"size":\d+/, `"size":${size}`),
      status: 400,
      code: 'MANIFEST_INVALID',
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

  test.each([
    '/v2/team/app/tags/list?last=',
    '/v2/team/app/tags/list?n=1&ns=',
    '/v2/team/app/tags/list?n=',
    '/v2/_catalog?n=1&last=',
    `/v2/team/app/blobs/${unknownDigest}?ns=`,
    `/v2/team/app/referrers/${unknownDigest}?artifactType=`,
    '/v2/team/app/blobs/uploads/?digest=',
    '/v2/team/app/blobs/uploads/?digest-algorithm=',
    `/v2/team/app/blobs/uploads/?mount=${unknownDigest}&from=`,
    `/v2/team/app/manifests/${unknownDigest}?tag=`,
  ])('never lets a value after %s become a header or markup', async (path) => {
    for (const value of [
      'a%0d%0aX-Split:%20yes%0d%0a%0d%0a<script>',
      'a%0aX-Split:yes',
      '%00',
      '"',
    ]) {
      for (const method of ['GET', 'POST', 'PUT']) {
        const answer = await call(url(), { method, path: path + value });
        expect(answer.headers['x-split']).toBeUndefined();
        expect(answer.headers['x-content-type-options']).toBe('nosniff');
        expect(answer.status).toBeLessThan(500);
        if (answer.body.length > 0) {
          expect(answer.headers['content-type']).toMatch(/^application\/(json|vnd\.)/);
          expect(() => JSON.parse(answer.body.toString()) as unknown).not.toThrow();
        }
      }
    }
  });

  test('stores the addresses of foreign layers and never asks them', async () => {
    const asked: (string | undefined)[] = [];
    const outside = createServer((request, response) => {
      asked.push(request.url);
      response.end();
    });
    outside.listen(0, '127.0.0.1');
    await once(outside, 'listening');
    try {
      const { port } = outside.address() as AddressInfo;
      const path = `/v2/team/foreign/blobs/uploads/?digest=${configDigest}`;
      expect((await call(url(), { method: 'POST', path, body: config })).status).toBe(201);
      const foreign = {
        mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
        digest: unknownDigest,
        size: 12,
        urls: [`http://127.0.0.1:${port}/layer`, 'file:///etc/passwd', 'javascript:alert(1)'],
      };
      const body = JSON.stringify({
        ...(JSON.parse(manifest.toString()) as object),
        layers: [foreign],
      });
      const target = '/v2/team/foreign/manifests/v1';
      const pushed = await call(url(), {
        method: 'PUT',
        path: target,
        headers: manifestType,
        body,
      });
      expect(pushed.status).toBe(201);
      const pulled = await call(url(), { method: 'GET', path: target });
      expect(pulled.body.toString()).toBe(body);
      const blob = `/v2/team/foreign/blobs/${unknownDigest}`;
      expect((await call(url(), { method: 'GET', path: blob })).status).toBe(404);
      expect(asked).toEqual([]);
    } finally {
      outside.close();
      outside.closeAllConnections();
    }
  });

  test('serves a store in which nothing of all this left a trace', async () => {
    const answer = await call(url(), { method: 'GET', path: '/v2/_catalog' });
    expect(JSON.parse(answer.body.toString())).toEqual({ repositories: ['team/foreign'] });
  });
});
