import { type IncomingMessage, request } from 'node:http';
import { pipeline } from 'node:stream/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { countProject } from '../../shared/management/quotas/count-project.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

const BLOB_BYTES = 1_000;

let push: TestPush;
beforeAll(async () => {
  push = await startPush();
});
afterAll(() => push.close());

const project = (name: string, quotaBytes?: number): Promise<void> =>
  push.store.index.projects.put(
    {
      ...{ schemaVersion: 1, name, createdAt: '2026-01-01T00:00:00.000Z' },
      ...(quotaBytes !== undefined && { quotaBytes }),
    },
    unending,
  );
const blobOf = (text: string, size = BLOB_BYTES): Buffer => Buffer.alloc(size, `${text}|`);
const putBlob = (repository: string, bytes: Buffer): Promise<TestAnswer> =>
  push.send(`/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`, {
    method: 'POST',
    body: bytes,
  });
const startUpload = async (repository: string): Promise<string> => {
  const { headers } = await push.send(`/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  return String(headers.location);
};
const head = async (repository: string, bytes: Buffer): Promise<number> =>
  (await push.send(`/v2/${repository}/blobs/${digestOf(bytes)}`, { method: 'HEAD' })).status;
const takes = async (name: string): Promise<number> => {
  const { records, blobs, index } = push.store;
  const found = await countProject(name, { records, blobs, ...index }, unending);
  return [...found.values()].reduce((total, size) => total + size, 0);
};

test('a project that is being renamed is pulled, and takes nothing', async () => {
  const names = { schemaVersion: 1, createdAt: '2026-01-01T00:00:00.000Z', closed: true } as const;
  await project('before');
  const bytes = blobOf('before');
  expect((await putBlob('before/app', bytes)).status).toBe(201);
  const { projects } = push.store.index;
  await projects.put({ ...names, name: 'moving', renamedTo: 'after' }, unending);
  await push.store.index.members.add('moving/app' as never, 'blob', digestOf(bytes), unending);
  const refused = await putBlob('moving/app', blobOf('late'));
  expect(refused.status).toBe(403);
  expect(refused.body.toString()).toContain('the project moving is being renamed to after');
  expect(await head('moving/app', bytes)).toBe(200);
});

describe('a project with a quota', () => {
  test('takes what fits, and refuses with both numbers what does not, keeping what was there', async () => {
    await project('full', 2 * BLOB_BYTES);
    const [a, b, c] = [blobOf('a'), blobOf('b'), blobOf('c')];
    expect((await putBlob('full/app', a)).status).toBe(201);
    expect((await putBlob('full/app', b)).status).toBe(201);
    const refused = await putBlob('full/app', c);
    expect(refused.status).toBe(403);
    expect(errorCode(refused)).toBe('DENIED');
    expect(refused.body.toString()).toContain('quota of 2000 bytes and takes 2000 of them');
    expect([await head('full/app', a), await head('full/app', b)]).toEqual([200, 200]);
    expect(await head('full/app', c)).toBe(404);
  });

  test('counts a blob once, in whichever of its repositories, however it comes there', async () => {
    await project('once', BLOB_BYTES);
    const bytes = blobOf('once');
    const digest = digestOf(bytes);
    expect((await putBlob('once/app', bytes)).status).toBe(201);
    expect((await putBlob('once/app', bytes)).status).toBe(201);
    expect((await putBlob('once/other', bytes)).status).toBe(201);
    const mounted = await push.send(`/v2/once/third/blobs/uploads/?mount=${digest}&from=once/app`, {
      method: 'POST',
    });
    expect(mounted.status).toBe(201);
    expect(await takes('once')).toBe(BLOB_BYTES);
  });

  test('refuses mounts and manifests that do not fit as well', async () => {
    await project('source');
    await project('tight', 10);
    const bytes = blobOf('mounted');
    await putBlob('source/app', bytes);
    const mount = `/v2/tight/app/blobs/uploads/?mount=${digestOf(bytes)}&from=source/app`;
    expect((await push.send(mount, { method: 'POST' })).status).toBe(403);
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] };
    const manifest = await push.send('/v2/tight/app/manifests/v1', {
      method: 'PUT',
      headers: { 'content-type': MEDIA_TYPES.ociIndex },
      body: Buffer.from(JSON.stringify(index)),
    });
    expect(manifest.status).toBe(403);
    expect((await push.send('/v2/tight/app/manifests/v1')).status).toBe(404);
    expect(await takes('tight')).toBe(0);
  });

  test('lets of ten pushes at once exactly those through that fit', async () => {
    await project('race', 3 * BLOB_BYTES);
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => putBlob('race/app', blobOf(`race ${i}`))),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, 201, 201, 403, 403, 403, 403, 403, 403, 403]);
    expect(await takes('race')).toBe(3 * BLOB_BYTES);
  });

  test('ends an upload in chunks that does not fit, at the latest at its end', async () => {
    await project('chunks', 1.5 * BLOB_BYTES);
    const [first, second] = [blobOf('first'), blobOf('second')];
    for (const [bytes, status] of [
      [first, 201],
      [second, 403],
    ] as const) {
      const location = await startUpload('chunks/app');
      expect((await push.send(location, { method: 'PATCH', body: bytes })).status).toBe(202);
      const end = await push.send(`${location}?digest=${digestOf(bytes)}`, { method: 'PUT' });
      expect(end.status).toBe(status);
      expect((await push.send(location)).status).toBe(404);
    }
    const location = await startUpload('chunks/app');
    const huge = await push.send(location, { method: 'PATCH', body: blobOf('huge', 2_000) });
    expect(huge.status).toBe(403);
    expect(huge.body.toString()).toContain('quota of 1500 bytes: a blob of 2000 does not fit');
    expect((await push.send(location)).status).toBe(404);
  });

  test('ends one of unknown length as soon as no more can fit, and keeps nothing of it', async () => {
    await project('endless', 1.5 * BLOB_BYTES);
    const location = await startUpload('endless/app');
    const chunk = blobOf('endless', 64 * 1024);
    let sent = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (; sent < 100_000; sent += 1) {
        yield chunk;
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
    }
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const patch = request({ port: push.port, path: location, method: 'PATCH' }, resolve);
      patch.once('error', reject);
      pipeline(endless(), patch).catch(() => undefined);
    });
    expect(answer.statusCode).toBe(403);
    answer.destroy();
    expect(sent).toBeLessThan(100_000);
    expect((await push.send(location)).status).toBe(404);
  });

  test('has the room again of a push that failed and of what was deleted', async () => {
    await project('again', BLOB_BYTES);
    const [a, b] = [blobOf('again a'), blobOf('again b')];
    const wrong = await push.send(`/v2/again/app/blobs/uploads/?digest=${digestOf(b)}`, {
      method: 'POST',
      body: a,
    });
    expect(wrong.status).toBe(400);
    expect((await putBlob('again/app', a)).status).toBe(201);
    expect((await putBlob('again/app', b)).status).toBe(403);
    await push.send(`/v2/again/app/blobs/${digestOf(a)}`, { method: 'DELETE' });
    expect((await putBlob('again/app', b)).status).toBe(201);
  });

  test('knows what came there before the first push that it counts', async () => {
    await project('later', BLOB_BYTES);
    const [before, after] = [blobOf('before'), blobOf('after')];
    const { blobs, index } = push.store;
    await blobs.put(digestOf(before), before, before.length, unending);
    await index.members.add('later/app' as never, 'blob', digestOf(before), unending);
    expect((await putBlob('later/app', after)).status).toBe(403);
    expect((await putBlob('later/app', before)).status).toBe(201);
  });

  test('keeps no account of projects without one', async () => {
    await project('free');
    expect((await putBlob('free/app', blobOf('free'))).status).toBe(201);
    expect(await push.store.records.get('twinport/v1/usage/free.json', unending)).toBeUndefined();
  });
});
