import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import type { ProjectRecord } from '../../shared/index/ports.ts';
import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

let push: TestPush;
beforeAll(async () => {
  push = await startPush();
});
afterAll(() => push.close());

const project = (name: string, more: Partial<ProjectRecord>): Promise<void> =>
  push.store.index.projects.put(
    { schemaVersion: 1, name, createdAt: '2026-01-01T00:00:00.000Z', ...more },
    unending,
  );

/** A manifest of its own for each number. */
const manifestOf = (number: number): Buffer =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [],
      annotations: { number: String(number) },
    }),
  );
const put = (path: string, number: number): Promise<TestAnswer> =>
  push.send(path, {
    method: 'PUT',
    headers: { 'content-type': MEDIA_TYPES.ociIndex },
    body: manifestOf(number),
  });
const tagged = async (name: string, tag: string): Promise<unknown> =>
  (await push.send(`/v2/${name}/manifests/${tag}`)).headers['docker-content-digest'];
const remove = (name: string, reference: string): Promise<TestAnswer> =>
  push.send(`/v2/${name}/manifests/${reference}`, { method: 'DELETE' });

describe('immutable tags', () => {
  const name = 'fixed/app';
  const digest = (number: number): Digest => digestOf(manifestOf(number));
  beforeAll(async () => {
    await project('fixed', { immutableTags: ['v*'] });
    expect((await put(`/v2/${name}/manifests/v1`, 1)).status).toBe(201);
  });

  test('are not moved, by tag or beside a digest, and nothing of the push is stored', async () => {
    const attempts = [
      await put(`/v2/${name}/manifests/v1`, 2),
      await put(`/v2/${name}/manifests/${digest(2)}?tag=v1`, 2),
      await put(`/v2/${name}/manifests/${digest(2)}?tag=latest&tag=v1`, 2),
    ];
    for (const answer of attempts) {
      expect(answer.status).toBe(403);
      expect(errorCode(answer)).toBe('DENIED');
      expect(answer.body.toString()).toContain(`the tag v1 of ${name} is immutable`);
    }
    expect(await tagged(name, 'v1')).toBe(digest(1));
    for (const reference of [digest(2), 'latest']) {
      expect((await push.send(`/v2/${name}/manifests/${reference}`)).status).toBe(404);
    }
  });

  test('are pushed again with the content that they have', async () => {
    expect((await put(`/v2/${name}/manifests/v1`, 1)).status).toBe(201);
  });

  test('are not deleted to be pushed anew, neither by tag nor with their manifest', async () => {
    for (const reference of ['v1', digest(1)]) {
      const answer = await remove(name, reference);
      expect(answer.status).toBe(403);
      expect(errorCode(answer)).toBe('DENIED');
    }
    expect(await tagged(name, 'v1')).toBe(digest(1));
  });

  test('leave other tags and manifests of the repository as free as they were', async () => {
    expect((await put(`/v2/${name}/manifests/latest`, 3)).status).toBe(201);
    expect((await put(`/v2/${name}/manifests/latest`, 4)).status).toBe(201);
    expect(await tagged(name, 'latest')).toBe(digest(4));
    expect((await remove(name, 'latest')).status).toBe(202);
    expect((await remove(name, digest(3))).status).toBe(202);
  });

  test('are one content, whichever of several pushes at once comes first', async () => {
    const answers = await Promise.all(
      [10, 11, 12, 13].map((number) => put(`/v2/${name}/manifests/v-race`, number)),
    );
    const won = answers.filter(({ status }) => status === 201);
    expect(won).toHaveLength(1);
    expect(await tagged(name, 'v-race')).toBe(won[0]?.headers['docker-content-digest']);
  });
});

describe('a project that takes nothing', () => {
  test.each([
    ['is being deleted', { closed: true }, 'is being deleted'],
    [
      'caches another registry',
      { upstream: { url: 'https://registry.example' } },
      'is a cache of https://registry.example',
    ],
  ] as const)('because it %s refuses every push with the reason', async (_why, more, reason) => {
    const name = Object.keys(more)[0]!;
    await project(name, more);
    const digest = digestOf(Buffer.alloc(0));
    const answers = [
      await push.send(`/v2/${name}/app/blobs/uploads/`, { method: 'POST' }),
      await push.send(`/v2/${name}/app/blobs/uploads/?digest=${digest}`, { method: 'POST' }),
      await push.send(`/v2/${name}/app/blobs/uploads/?mount=${digest}&from=fixed/app`, {
        method: 'POST',
      }),
      await put(`/v2/${name}/app/manifests/v1`, 1),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(403);
      expect(errorCode(answer)).toBe('DENIED');
      expect(answer.body.toString()).toContain(reason);
    }
  });
});
