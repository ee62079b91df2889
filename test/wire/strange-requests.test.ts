import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { call, describeCalls } from './call-table.ts';
import { config, configDigest, manifest, manifestType, unknownDigest } from './wire-content.ts';

let folder: string;
let push: TwinportProcess;

beforeAll(async () => {
  folder = makeTempFolder('strange');
  push = await startTwinport({ role: 'push', storage: { dataDir: folder } });
});
afterAll(async () => {
  await push.stop();
  await removeTempFolder(folder);
});

const TYPE = manifestType['Content-Type'];
const foreign = { Host: 'evil.example' };

test('a name of ten kilobytes is refused', async () => {
  const path = `/v2/${'a/'.repeat(5_000)}b/tags/list`;
  expect((await call(push.url, { method: 'GET', path })).status).toBe(400);
});

describe('strange digests, numbers, hosts and types', () => {
  describeCalls(
    () => push.url,
    [
      ...[
        `sha256:${'a'.repeat(63)}`,
        `sha256:${'a'.repeat(65)}`,
        `sha512:${'a'.repeat(64)}`,
        `sha384:${'a'.repeat(96)}`,
        `sha1:${'a'.repeat(40)}`,
        'sha256:',
      ].flatMap((digest) =>
        ['blobs', 'manifests', 'referrers'].map((kind) => ({
          shows: 'refuses a digest of another length or algorithm',
          method: 'GET',
          path: `/v2/team/app/${kind}/${digest}`,
          status: 400,
          code: 'DIGEST_INVALID',
        })),
      ),
      ...['-1', '1e3', 'NaN', '0x10', '%205', '9223372036854775808'].flatMap((n) =>
        [`/v2/_catalog?n=${n}`, `/v2/team/app/referrers/${unknownDigest}?n=${n}`].map((path) => ({
          shows: 'refuses a page size that is none',
          method: 'GET',
          path,
          status: 400,
          code: 'PAGINATION_NUMBER_INVALID',
        })),
      ),
      ...['0', '1000000000'].map((n) => ({
        shows: 'gives no more than there is for a page of any size',
        method: 'GET',
        path: `/v2/_catalog?n=${n}`,
        status: 200,
        json: { repositories: [] },
      })),
      {
        shows: 'refuses a tag of 129 characters',
        method: 'PUT',
        path: `/v2/team/app/manifests/${'a'.repeat(129)}`,
        headers: manifestType,
        body: manifest,
        status: 400,
        code: 'TAG_INVALID',
      },
      ...[
        foreign,
        { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'https' },
        { 'X-Forwarded-Prefix': '/evil' },
        { Forwarded: 'host=evil.example;proto=https' },
        { X_Forwarded_Host: 'evil.example' },
      ].map((headers) => ({
        shows: `sends nobody elsewhere, whatever ${Object.keys(headers)[0]} says`,
        method: 'POST',
        path: '/v2/team/app/blobs/uploads/',
        headers,
        status: 202,
        answers: { Location: /^\/v2\/team\/app\/blobs\/uploads\/[\da-f-]{36}$/ },
      })),
      {
        shows: 'refuses a blob in another encoding',
        method: 'POST',
        path: `/v2/team/app/blobs/uploads/?digest=${configDigest}`,
        headers: { 'Content-Encoding': 'gzip' },
        body: config,
        status: 415,
      },
      ...[
        TYPE.toUpperCase(),
        `${TYPE}, text/html`,
        `${TYPE}\ta`,
        'text/html',
        'application/json',
      ].map((type) => ({
        shows: `refuses a manifest that is called ${JSON.stringify(type)}`,
        method: 'PUT',
        path: '/v2/team/app/manifests/strange',
        headers: { 'Content-Type': type },
        body: manifest,
        status: 400,
        code: 'MANIFEST_INVALID',
      })),
    ],
  );
});
