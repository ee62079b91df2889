import { readdir } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { type Call, call, describeCalls } from './call-table.ts';
import { deleteCalls, manifestPutCalls, otherMethodCalls } from './manifest-write-calls.ts';
import { chunkCalls, mountCalls, streamCalls, wholeUploadCalls } from './upload-calls.ts';
import {
  artifactDigest,
  configDigest,
  manifest,
  manifestType,
  pushWireContent,
} from './wire-content.ts';

const NAME = 'team/app';
const OTHER = 'team/other';

const writeCalls: Readonly<Record<string, readonly Call[]>> = {
  'whole uploads': wholeUploadCalls(NAME),
  'uploads in chunks': chunkCalls('team/chunks'),
  'uploads that are streamed': streamCalls('team/stream'),
  mounts: mountCalls(OTHER, NAME),
  manifests: manifestPutCalls(NAME),
  deletes: deleteCalls(NAME, OTHER),
  'other methods': otherMethodCalls(NAME),
};

describe('the push service', () => {
  let folder: string;
  let push: TwinportProcess;

  beforeAll(async () => {
    folder = makeTempFolder('wire');
    push = await startTwinport({ role: 'push', storage: { dataDir: folder } });
  });
  afterAll(async () => {
    await push.stop();
    await removeTempFolder(folder);
  });

  describe.each(Object.entries(writeCalls))('of %s', (_, calls) => {
    describeCalls(() => push.url, calls);
  });
});

describe('the mirror', () => {
  const upload = '11111111-2222-4333-8444-555555555555';
  let folder: string;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    folder = makeTempFolder('wire');
    mirror = await startTwinport({
      role: 'mirror',
      storage: { dataDir: folder },
      env: { PUSH_PUBLIC_URL: 'https://push.example' },
    });
  });
  afterAll(async () => {
    await mirror.stop();
    await removeTempFolder(folder);
  });

  /** What changes something, or looks at what only a writer has. A target that cannot be parsed is refused before. */
  const isWrite = ({ method, path: target, status }: Call): boolean =>
    (!['GET', 'HEAD'].includes(method) || target.startsWith('{')) &&
    !(status === 400 && /manifests\/(\.|sha256:[^/?]{1,20}$)/.test(target));

  const refusalOf = ({ method, path: target, headers, body }: Call, name: string): Call => ({
    shows: 'refuses to be written to',
    method,
    path: target
      .replace(/^\{\w+\}/, `/v2/${name}/blobs/uploads/${upload}`)
      .replace(/\{\w+-id\}/, upload)
      .replace(/^\/v2\/team\/\w+(-\w+)?\//, `/v2/${name}/`),
    ...(headers && { headers }),
    ...(body !== undefined && { body }),
    status: 405,
    code: 'UNSUPPORTED',
    answers: { Allow: 'GET, HEAD', Location: undefined, 'Docker-Upload-UUID': undefined },
    ...(method !== 'HEAD' && { content: /push to https:\/\/push\.example instead/ }),
  });

  const writes = Object.values(writeCalls).flat().filter(isWrite);
  describe.each(['team/app', 'local/team/app', 'mirror/library/app', 'app'])('as %s', (name) => {
    describeCalls(
      () => mirror.url,
      writes.map((row) => refusalOf(row, name)),
    );
  });

  test('has written nothing of it', async () => {
    const repositories = path.join(folder, 'docker', 'registry', 'v2');
    await expect(readdir(repositories)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('settings of the push service', () => {
  let folder: string;
  let push: TwinportProcess;
  const start = async (env: Record<string, string>): Promise<void> => {
    push = await startTwinport({ role: 'push', storage: { dataDir: folder }, env });
  };

  beforeAll(() => {
    folder = makeTempFolder('wire');
  });
  afterAll(() => removeTempFolder(folder));

  test('with references that may be missing, a manifest comes before what it names', async () => {
    await start({ MANIFEST_REFERENCES: 'allow-missing' });
    try {
      const target = { path: '/v2/team/sparse/manifests/v1', headers: manifestType };
      const put = await call(push.url, { method: 'PUT', ...target, body: manifest });
      expect(put.status).toBe(201);
      expect((await call(push.url, { method: 'GET', ...target })).body).toEqual(manifest);
      await pushWireContent(push.url, 'team/app');
    } finally {
      await push.stop();
    }
  });

  test('with deletes switched off, all of them are refused and everything is kept', async () => {
    await start({ DELETE_ENABLED: 'false' });
    try {
      for (const rest of [`manifests/${artifactDigest}`, 'manifests/v1', `blobs/${configDigest}`]) {
        const target = { path: `/v2/team/app/${rest}` };
        const refused = await call(push.url, { method: 'DELETE', ...target });
        expect({ rest, status: refused.status }).toEqual({ rest, status: 405 });
        expect(refused.headers['allow']).not.toContain('DELETE');
        const kept = await call(push.url, { method: 'HEAD', ...target });
        expect({ rest, status: kept.status }).toEqual({ rest, status: 200 });
      }
    } finally {
      await push.stop();
    }
  });
});
