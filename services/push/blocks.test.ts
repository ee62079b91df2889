import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { BLOCKS_AGE_MS, BlockList } from '../../shared/content/blocks/block-list.ts';
import { DENIED, PatternRecords } from '../../shared/content/pattern-records.ts';
import { parseReferencePattern } from '../../shared/content/reference-pattern.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../../shared/index/testing/memory-record-store.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { RepositoryName, Tag } from '../../shared/oci/reference.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

const signal = new AbortController().signal;

describe('what is blocked at the push service', () => {
  let push: TestPush;
  let stored: PatternRecords;
  const [tagged, named, holed, whole] = [makeImage(), makeImage(), makeImage(), makeImage()];
  const patterns = ['tagged/app:o*', named.manifest.digest, holed.blobs[0]!.digest, 'whole/*'];

  beforeAll(async () => {
    push = await startPush();
    stored = new PatternRecords(push.store.records, DENIED);
    const images = { tagged, named, holed, whole };
    for (const [project, image] of Object.entries(images)) {
      expect(await pushImage(`${project}/app`, 'old', image)).toBe(201);
    }
    for (const text of patterns) {
      await stored.add(parseReferencePattern(text, [])!, 'a hole', systemClock, signal);
    }
    await until(async () => (await statusOf('whole/app/tags/list')) === 403);
  });
  afterAll(() => push.close());

  async function pushImage(name: string, tag: string, pushed: FixtureImage): Promise<number> {
    for (const { digest, bytes } of pushed.blobs) {
      const path = `/v2/${name}/blobs/uploads/?digest=${digest}`;
      const answer = await push.send(path, { method: 'POST', body: bytes });
      if (answer.status !== 201) return answer.status;
    }
    const { bytes, mediaType } = pushed.manifest;
    const answer = await push.send(`/v2/${name}/manifests/${tag}`, {
      method: 'PUT',
      headers: { 'content-type': mediaType },
      body: bytes,
    });
    return answer.status;
  }

  const statusOf = async (path: string): Promise<number> => (await push.send(`/v2/${path}`)).status;

  test('a tag is denied with the reason, and cannot be pushed; its digest stays', async () => {
    const answer = await push.send('/v2/tagged/app/manifests/old');
    expect(JSON.parse(answer.body.toString())).toEqual({
      errors: [
        {
          code: 'DENIED',
          message: 'blocked by the operator of this registry: a hole',
          detail: { blocked: 'tagged/app:o*' },
        },
      ],
    });
    expect(await pushImage('tagged/app', 'older', tagged)).toBe(403);
    expect(await pushImage('tagged/app', 'new', tagged)).toBe(201);
    expect(await statusOf(`tagged/app/manifests/${tagged.manifest.digest}`)).toBe(200);
  });

  test('a manifest by its digest is denied under every name and tag, and cannot be pushed', async () => {
    expect(await statusOf(`named/app/manifests/${named.manifest.digest}`)).toBe(403);
    expect(await statusOf('named/app/manifests/old')).toBe(403);
    expect(await pushImage('other/app', '1', named)).toBe(403);
    expect(await pushImage('named/app', '1', makeImage())).toBe(201);
  });

  test('a blob by its digest is denied, and can be neither pushed nor mounted', async () => {
    const { digest } = holed.blobs[0]!;
    expect(await statusOf(`holed/app/blobs/${digest}`)).toBe(403);
    expect(await pushImage('other/app', '2', holed)).toBe(403);
    const mount = `/v2/other/app/blobs/uploads/?mount=${digest}&from=holed/app`;
    expect((await push.send(mount, { method: 'POST' })).status).toBe(403);
    expect(await statusOf('holed/app/manifests/old')).toBe(200);
  });

  test('a repository by a pattern is denied as a whole, and others are not', async () => {
    expect(await statusOf('whole/app/manifests/old')).toBe(403);
    expect(await statusOf(`whole/app/blobs/${whole.blobs[0]!.digest}`)).toBe(403);
    expect(await pushImage('whole/other', 'x', makeImage())).toBe(403);
    expect(await pushImage('wholes/app', 'x', makeImage())).toBe(201);
  });

  test('everything is as before when the blocks are taken back', async () => {
    for (const text of patterns) {
      expect(await stored.remove(parseReferencePattern(text, [])!, signal)).toBe(true);
    }
    await until(async () => (await statusOf('whole/app/tags/list')) === 200);
    for (const project of ['tagged', 'named', 'holed', 'whole']) {
      expect(await statusOf(`${project}/app/manifests/old`)).toBe(200);
    }
  });
});

describe('the list of what is blocked', () => {
  const content = { repository: 'team/app' as RepositoryName, tag: '1' as Tag };

  test('is heeded after its age at most, read once in between, and kept while the store fails', async () => {
    const records = new MemoryRecordStore();
    const clock = new ManualClock();
    const list = new BlockList(records, clock, signal);
    const stored = new PatternRecords(records, DENIED);
    await list.refuse(content, signal);
    await stored.add(parseReferencePattern('team/*', [])!, undefined, clock, signal);
    clock.advance(BLOCKS_AGE_MS + 1);
    await expect(list.refuse(content, signal)).rejects.toMatchObject({ code: 'DENIED' });
    records.isBroken = true;
    clock.advance(BLOCKS_AGE_MS + 1);
    await expect(list.refuse(content, signal)).rejects.toMatchObject({ code: 'DENIED' });
  });

  test('a record that nobody understands denies everything rather than nothing', async () => {
    const records = new MemoryRecordStore();
    await records.put('twinport/v1/deny/x.json', Buffer.from('{'), signal);
    const list = new BlockList(records, new ManualClock(), signal);
    await expect(list.refuse(content, signal)).rejects.toMatchObject({ name: 'StorageError' });
  });
});
