import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { call, describeCalls } from './call-table.ts';
import {
  artifact,
  artifactDigest,
  config,
  configDigest,
  layer,
  layerDigest,
  layerDigest512,
  manifest,
  manifestDigest,
  manifestType,
  unknownDigest,
} from './wire-content.ts';

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

describe('the base', () => {
  describeCalls(url, [
    {
      shows: 'says that it is a registry',
      method: 'GET',
      path: '/v2/',
      status: 200,
      answers: {
        'Docker-Distribution-API-Version': 'registry/2.0',
        'X-Content-Type-Options': 'nosniff',
      },
      json: {},
    },
    { shows: 'answers a liveness look', method: 'GET', path: '/', status: 200 },
    { shows: 'has nothing elsewhere', method: 'GET', path: '/v3/', status: 404 },
  ]);
});

describe('blobs', () => {
  describeCalls(url, [
    {
      shows: 'takes a blob in one POST',
      method: 'POST',
      path: `/v2/team/app/blobs/uploads/?digest=${layerDigest}`,
      headers: { 'Content-Type': 'application/octet-stream' },
      body: layer,
      status: 201,
      answers: {
        Location: `/v2/team/app/blobs/${layerDigest}`,
        'Docker-Content-Digest': layerDigest,
      },
    },
    {
      shows: 'takes a sha512 blob in one POST',
      method: 'POST',
      path: `/v2/team/app/blobs/uploads/?digest=${layerDigest512}`,
      body: layer,
      status: 201,
      answers: { 'Docker-Content-Digest': layerDigest512 },
    },
    {
      shows: 'takes the config',
      method: 'POST',
      path: `/v2/team/app/blobs/uploads/?digest=${configDigest}`,
      body: config,
      status: 201,
    },
    {
      shows: 'takes an empty blob',
      method: 'POST',
      path: `/v2/team/app/blobs/uploads/?digest=${digestOf(Buffer.alloc(0))}`,
      body: '',
      status: 201,
    },
    {
      shows: 'refuses bytes of another digest',
      method: 'POST',
      path: `/v2/team/app/blobs/uploads/?digest=${unknownDigest}`,
      body: layer,
      status: 400,
      code: 'DIGEST_INVALID',
    },
    {
      shows: 'has stored nothing of what it refused',
      method: 'HEAD',
      path: `/v2/team/app/blobs/${unknownDigest}`,
      status: 404,
    },
    {
      shows: 'gives a blob back',
      method: 'GET',
      path: `/v2/team/app/blobs/${layerDigest}`,
      headers: { 'Accept-Encoding': 'gzip, zstd' },
      status: 200,
      answers: {
        'Content-Length': String(layer.length),
        'Content-Type': 'application/octet-stream',
        'Content-Encoding': undefined,
        'Docker-Content-Digest': layerDigest,
      },
      content: layer,
    },
    {
      shows: 'tells the size of a blob',
      method: 'HEAD',
      path: `/v2/team/app/blobs/${layerDigest512}`,
      status: 200,
      answers: { 'Content-Length': String(layer.length), 'Docker-Content-Digest': layerDigest512 },
      content: '',
    },
    ...(
      [
        ['bytes=500-1499', 206, 'bytes 500-1499/2000', layer.subarray(500, 1500)],
        ['bytes=500-', 206, 'bytes 500-1999/2000', layer.subarray(500)],
        ['bytes=-500', 206, 'bytes 1500-1999/2000', layer.subarray(1500)],
        ['bytes=1000-5000', 206, 'bytes 1000-1999/2000', layer.subarray(1000)],
        ['bytes=0-0', 206, 'bytes 0-0/2000', layer.subarray(0, 1)],
        ['bytes=5000-10000', 416, 'bytes */2000', undefined],
        ['bytes=0-1,5-6', 200, undefined, layer],
        ['lines=0-1', 200, undefined, layer],
      ] as const
    ).map(([range, status, contentRange, content]) => ({
      shows: `answers the range ${range}`,
      method: 'GET',
      path: `/v2/team/app/blobs/${layerDigest}`,
      headers: { Range: range },
      status,
      answers: { 'Content-Range': contentRange },
      ...(content && { content }),
    })),
    {
      shows: 'does not give a blob through a repository that it does not belong to',
      method: 'GET',
      path: `/v2/team/other/blobs/${layerDigest}`,
      status: 404,
      code: 'BLOB_UNKNOWN',
    },
    {
      shows: 'mounts a blob from another repository',
      method: 'POST',
      path: `/v2/team/other/blobs/uploads/?mount=${layerDigest}&from=team/app`,
      status: 201,
      answers: { Location: `/v2/team/other/blobs/${layerDigest}` },
    },
    {
      shows: 'opens an upload when there is nothing to mount',
      method: 'POST',
      path: `/v2/team/other/blobs/uploads/?mount=${unknownDigest}&from=team/app`,
      status: 202,
      answers: { Location: /^\/v2\/team\/other\/blobs\/uploads\/[0-9a-f-]{36}/ },
    },
    {
      shows: 'opens an upload when the source of a mount is not named',
      method: 'POST',
      path: `/v2/team/third/blobs/uploads/?mount=${layerDigest}`,
      status: 202,
    },
  ]);
});

describe('an upload in chunks', () => {
  let location = '';
  const bytes = (first: number, last: number): Buffer => layer.subarray(first, last + 1);
  const patch = (range: string, body: Buffer): ReturnType<typeof call> =>
    call(url(), {
      method: 'PATCH',
      path: location,
      headers: { 'Content-Type': 'application/octet-stream', 'Content-Range': range },
      body,
    });
  const digest = digestOf(Buffer.concat([layer, config]));

  test('opens with 202, a relative location and an empty range', async () => {
    const answer = await call(url(), {
      method: 'POST',
      path: '/v2/team/chunks/blobs/uploads/',
      headers: { 'Content-Length': '0' },
    });
    expect(answer.status).toBe(202);
    expect(answer.headers['range']).toBe('0-0');
    expect(answer.headers['docker-upload-uuid']).toMatch(/^[0-9a-f-]{36}$/);
    location = String(answer.headers['location']);
    expect(location).toMatch(/^\/v2\/team\/chunks\/blobs\/uploads\//);
  });

  test('takes the first chunk and tells how far it is', async () => {
    const answer = await patch('0-999', bytes(0, 999));
    expect(answer).toMatchObject({ status: 202, headers: { range: '0-999' } });
    location = String(answer.headers['location']);
  });

  test.each([
    [0, 999],
    [1500, 1999],
    [999, 1998],
  ])('refuses the chunk %d-%d out of order with 416 and stays alive', async (first, last) => {
    const answer = await patch(`${first}-${last}`, bytes(first, last));
    expect(answer).toMatchObject({ status: 416, headers: { range: '0-999' } });
    const state = await call(url(), { method: 'GET', path: location });
    expect(state).toMatchObject({ status: 204, headers: { range: '0-999' } });
  });

  test.each(['bytes 1000-1999/*', '1000', 'a-b', '1999-1000'])(
    'refuses the malformed chunk range %s',
    async (range) => {
      const answer = await patch(range, bytes(1000, 1999));
      expect([400, 416]).toContain(answer.status);
    },
  );

  test('refuses a chunk whose length is not what its range says', async () => {
    const answer = await patch('1000-1999', bytes(1000, 1500));
    expect(answer.status).toBe(400);
    const state = await call(url(), { method: 'GET', path: location });
    expect(state.headers['range']).toBe('0-999');
  });

  test('goes on, takes the last chunk with the PUT and has the blob', async () => {
    const answer = await patch('1000-1999', bytes(1000, 1999));
    expect(answer).toMatchObject({ status: 202, headers: { range: '0-1999' } });
    location = String(answer.headers['location']);
    const separator = location.includes('?') ? '&' : '?';
    const done = await call(url(), {
      method: 'PUT',
      path: `${location}${separator}digest=${digest}`,
      headers: { 'Content-Range': `2000-${1999 + config.length}` },
      body: config,
    });
    expect(done.status).toBe(201);
    const blob = await call(url(), { method: 'GET', path: String(done.headers['location']) });
    expect(blob.body).toEqual(Buffer.concat([layer, config]));
  });

  test('answers a repeated PUT like the first and knows the session no more', async () => {
    const separator = location.includes('?') ? '&' : '?';
    const path = `${location}${separator}digest=${digest}`;
    expect((await call(url(), { method: 'PUT', path })).status).toBe(201);
    expect((await call(url(), { method: 'GET', path: location })).status).toBe(404);
  });
});

describe('an upload that is streamed', () => {
  const upload = async (): Promise<string> => {
    const opened = await call(url(), { method: 'POST', path: '/v2/team/stream/blobs/uploads/' });
    const patched = await call(url(), {
      method: 'PATCH',
      path: String(opened.headers['location']),
      headers: { 'Transfer-Encoding': 'chunked' },
      body: layer,
    });
    expect(patched).toMatchObject({ status: 202, headers: { range: '0-1999' } });
    return String(patched.headers['location']);
  };

  test.each([layerDigest, layerDigest512])('is committed under %s', async (digest) => {
    const done = await call(url(), { method: 'PUT', path: `${await upload()}?digest=${digest}` });
    expect(done.status).toBe(201);
    expect(done.headers['docker-content-digest']).toBe(digest);
  });

  test('with the wrong digest is refused and leaves nothing', async () => {
    const location = await upload();
    const done = await call(url(), { method: 'PUT', path: `${location}?digest=${unknownDigest}` });
    expect(done.status).toBe(400);
    expect(done.body.toString()).toContain('DIGEST_INVALID');
    const blob = await call(url(), {
      method: 'HEAD',
      path: `/v2/team/stream/blobs/${unknownDigest}`,
    });
    expect(blob.status).toBe(404);
  });

  test('is cancelled by DELETE', async () => {
    const location = await upload();
    expect((await call(url(), { method: 'DELETE', path: location })).status).toBe(204);
    expect((await call(url(), { method: 'GET', path: location })).status).toBe(404);
    expect((await call(url(), { method: 'DELETE', path: location })).status).toBe(404);
  });

  test('is unknown in another repository', async () => {
    const other = (await upload()).replace('/team/stream/', '/team/elsewhere/');
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
      const path = method === 'PUT' ? `${other}?digest=${layerDigest}` : other;
      const answer = await call(url(), { method, path, body: method === 'PATCH' ? layer : '' });
      expect({ method, status: answer.status }).toEqual({ method, status: 404 });
    }
  });
});

describe('manifests, tags and referrers', () => {
  describeCalls(url, [
    {
      shows: 'refuses a manifest whose blobs are missing',
      method: 'PUT',
      path: '/v2/team/missing/manifests/v1',
      headers: manifestType,
      body: manifest,
      status: 400,
      code: 'MANIFEST_BLOB_UNKNOWN',
    },
    {
      shows: 'takes a manifest by tag',
      method: 'PUT',
      path: '/v2/team/app/manifests/v1',
      headers: manifestType,
      body: manifest,
      status: 201,
      answers: {
        Location: `/v2/team/app/manifests/${manifestDigest}`,
        'Docker-Content-Digest': manifestDigest,
      },
    },
    {
      shows: 'takes several tags with a manifest by digest',
      method: 'PUT',
      path: `/v2/team/app/manifests/${manifestDigest}?tag=a&tag=v1.0`,
      headers: { 'Content-Type': `${MEDIA_TYPES.ociManifest}; charset=utf-8` },
      body: manifest,
      status: 201,
      answers: { 'OCI-Tag': /a.*v1\.0/ },
    },
    {
      shows: 'refuses a manifest under the digest of another',
      method: 'PUT',
      path: `/v2/team/app/manifests/${unknownDigest}`,
      headers: manifestType,
      body: manifest,
      status: 400,
      code: 'DIGEST_INVALID',
    },
    {
      shows: 'takes an artifact and says which subject it refers to',
      method: 'PUT',
      path: `/v2/team/app/manifests/${artifactDigest}`,
      headers: manifestType,
      body: artifact,
      status: 201,
      answers: { 'OCI-Subject': manifestDigest },
    },
    ...['v1', manifestDigest].map((reference) => ({
      shows: `gives the manifest by ${reference}`,
      method: 'GET',
      path: `/v2/team/app/manifests/${reference}`,
      headers: { Accept: 'application/vnd.docker.distribution.manifest.v2+json' },
      status: 200,
      answers: {
        'Content-Type': MEDIA_TYPES.ociManifest,
        'Content-Length': String(manifest.length),
        'Docker-Content-Digest': manifestDigest,
      },
      content: manifest,
    })),
    {
      shows: 'tells what a tag names',
      method: 'HEAD',
      path: '/v2/team/app/manifests/v1',
      status: 200,
      answers: {
        'Content-Type': MEDIA_TYPES.ociManifest,
        'Content-Length': String(manifest.length),
        'Docker-Content-Digest': manifestDigest,
      },
      content: '',
    },
    {
      shows: 'has no unknown tag',
      method: 'GET',
      path: '/v2/team/app/manifests/nothing',
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    },
    {
      shows: 'lists the tags',
      method: 'GET',
      path: '/v2/team/app/tags/list',
      status: 200,
      json: { name: 'team/app', tags: ['a', 'v1', 'v1.0'] },
    },
    {
      shows: 'lists the tags in pages',
      method: 'GET',
      path: '/v2/team/app/tags/list?n=2',
      status: 200,
      answers: { Link: '</v2/team/app/tags/list?n=2&last=v1>; rel="next"' },
      json: { name: 'team/app', tags: ['a', 'v1'] },
    },
    {
      shows: 'ends the pages without a link',
      method: 'GET',
      path: '/v2/team/app/tags/list?n=2&last=v1',
      status: 200,
      answers: { Link: undefined },
      json: { name: 'team/app', tags: ['v1.0'] },
    },
    {
      shows: 'lists nothing for n=0, and no link',
      method: 'GET',
      path: '/v2/team/app/tags/list?n=0',
      status: 200,
      answers: { Link: undefined },
      json: { name: 'team/app', tags: [] },
    },
    {
      shows: 'has no tags of an unknown repository',
      method: 'GET',
      path: '/v2/team/nothing/tags/list',
      status: 404,
      code: 'NAME_UNKNOWN',
    },
    {
      shows: 'lists the referrers',
      method: 'GET',
      path: `/v2/team/app/referrers/${manifestDigest}`,
      status: 200,
      answers: { 'Content-Type': MEDIA_TYPES.ociIndex },
      json: {
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociIndex,
        manifests: [
          {
            mediaType: MEDIA_TYPES.ociManifest,
            digest: artifactDigest,
            size: artifact.length,
            artifactType: 'application/example.signature',
          },
        ],
      },
    },
    {
      shows: 'filters the referrers',
      method: 'GET',
      path: `/v2/team/app/referrers/${manifestDigest}?artifactType=application/other`,
      status: 200,
      answers: { 'OCI-Filters-Applied': 'artifactType' },
      json: { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] },
    },
    {
      shows: 'has an empty list of referrers for what nobody knows',
      method: 'GET',
      path: `/v2/team/nothing/referrers/${unknownDigest}`,
      status: 200,
      json: { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] },
    },
    {
      shows: 'lists the repositories',
      method: 'GET',
      path: '/v2/_catalog',
      status: 200,
      content: /"team\/app"/,
    },
    {
      shows: 'lists the repositories in pages',
      method: 'GET',
      path: '/v2/_catalog?n=1',
      status: 200,
      answers: { Link: '</v2/_catalog?n=1&last=team%2Fapp>; rel="next"' },
      json: { repositories: ['team/app'] },
    },
  ]);
});

describe('deletes', () => {
  describeCalls(url, [
    {
      shows: 'deletes a tag alone',
      method: 'DELETE',
      path: '/v2/team/app/manifests/a',
      status: 202,
    },
    {
      shows: 'has the tag no more',
      method: 'HEAD',
      path: '/v2/team/app/manifests/a',
      status: 404,
    },
    {
      shows: 'still has the manifest',
      method: 'HEAD',
      path: `/v2/team/app/manifests/${manifestDigest}`,
      status: 200,
    },
    {
      shows: 'deletes a manifest with its tags',
      method: 'DELETE',
      path: `/v2/team/app/manifests/${manifestDigest}`,
      status: 202,
    },
    {
      shows: 'has the manifest no more',
      method: 'GET',
      path: `/v2/team/app/manifests/${manifestDigest}`,
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    },
    {
      shows: 'has none of its tags',
      method: 'GET',
      path: '/v2/team/app/tags/list',
      status: 200,
      json: { name: 'team/app', tags: [] },
    },
    {
      shows: 'deletes a blob from one repository',
      method: 'DELETE',
      path: `/v2/team/app/blobs/${layerDigest}`,
      status: 202,
    },
    {
      shows: 'has the blob no more there',
      method: 'GET',
      path: `/v2/team/app/blobs/${layerDigest}`,
      status: 404,
      code: 'BLOB_UNKNOWN',
    },
    {
      shows: 'still has it in the repository that mounted it',
      method: 'GET',
      path: `/v2/team/other/blobs/${layerDigest}`,
      status: 200,
      content: layer,
    },
    ...['manifests/nothing', `manifests/${unknownDigest}`, `blobs/${unknownDigest}`].map(
      (path) => ({
        shows: 'cannot delete what is not there',
        method: 'DELETE',
        path: `/v2/team/app/${path}`,
        status: 404,
      }),
    ),
  ]);
});

test('with deletes switched off refuses all of them and keeps everything', async () => {
  const readOnly = await startTwinport({
    role: 'push',
    storage: { dataDir: folder },
    env: { DELETE_ENABLED: 'false' },
  });
  try {
    for (const path of [`manifests/${artifactDigest}`, 'manifests/any', `blobs/${configDigest}`]) {
      const answer = await call(readOnly.url, { method: 'DELETE', path: `/v2/team/app/${path}` });
      expect({ path, status: answer.status }).toEqual({ path, status: 405 });
    }
    const kept = await call(readOnly.url, {
      method: 'HEAD',
      path: `/v2/team/app/manifests/${artifactDigest}`,
    });
    expect(kept.status).toBe(200);
  } finally {
    await readOnly.stop();
  }
});
