import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { errorCode } from '../../shared/http/testing/http-client.ts';
import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { blobKey } from '../../shared/storage/object-keys.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

const config = Buffer.from('{}');
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: 'application/x-config', digest: digestOf(config), size: config.length },
    layers: [],
  }),
);
const digest = digestOf(manifest);

describe('a store whose bytes have changed', () => {
  let push: TestPush;

  beforeEach(async () => {
    push = await startPush();
    const path = `/v2/bad/bits/blobs/uploads/?digest=${digestOf(config)}`;
    expect((await push.send(path, { method: 'POST', body: config })).status).toBe(201);
    await putManifest();
  });
  afterEach(() => push.close());

  async function putManifest(): Promise<void> {
    const headers = { 'content-type': MEDIA_TYPES.ociManifest };
    const request = { method: 'PUT', headers, body: manifest };
    expect((await push.send('/v2/bad/bits/manifests/v1', request)).status).toBe(201);
  }

  async function damage(of: Digest, change: (bytes: Buffer) => Buffer): Promise<void> {
    const file = join(push.store.folder, blobKey(of));
    await writeFile(file, change(await readFile(file)));
  }

  const flipOneBit = (bytes: Buffer): Buffer => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(40) ^ 1, 40);
    return changed;
  };

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['with one bit flipped', flipOneBit],
    ['cut short', (bytes) => bytes.subarray(0, 100)],
    ['with a byte too many', (bytes) => Buffer.concat([bytes, Buffer.from(' ')])],
    ['grown beyond any manifest', () => Buffer.alloc(5 * 1024 * 1024)],
    ['emptied', () => Buffer.alloc(0)],
  ])('never serves a manifest %s, and is repaired by pushing it again', async (_, change) => {
    await damage(digest, change);
    for (const reference of ['v1', digest]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await push.send(`/v2/bad/bits/manifests/${reference}`, { method });
        expect(answer.status).toBe(503);
        expect(answer.headers['docker-content-digest']).toBeUndefined();
        if (method === 'GET') expect(errorCode(answer)).toBe('UNAVAILABLE');
      }
    }
    expect(push.edge.lines.some(({ level }) => level === 'error')).toBe(true);
    await putManifest();
    const repaired = await push.send(`/v2/bad/bits/manifests/${digest}`);
    expect(repaired.status).toBe(200);
    expect(repaired.body.equals(manifest)).toBe(true);
  });

  test('takes a blob pushed again for the repair of the stored one', async () => {
    await damage(digestOf(config), () => Buffer.from('[]'));
    const path = `/v2/bad/bits/blobs/uploads/?digest=${digestOf(config)}`;
    expect((await push.send(path, { method: 'POST', body: config })).status).toBe(201);
    const pulled = await push.send(`/v2/bad/bits/blobs/${digestOf(config)}`);
    expect(pulled.body.equals(config)).toBe(true);
  });
});

describe('a digest that is none', () => {
  test.each([
    'sha256:../../../../etc/passwd',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(65)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `md5:${'a'.repeat(32)}`,
    `sha1:${'a'.repeat(40)}`,
    'sha256:',
  ])('as %s is refused before the store is asked for anything', async (bad) => {
    const asked: string[] = [];
    const push = await startPush({
      wrapBlobs: (blobs) =>
        new Proxy(blobs, {
          get: (target, name, receiver): unknown => {
            asked.push(String(name));
            return Reflect.get(target, name, receiver);
          },
        }),
    });
    try {
      const session = await push.send('/v2/a/b/blobs/uploads/', { method: 'POST' });
      asked.length = 0;
      const encoded = encodeURIComponent(bad);
      const requests: [string, string][] = [
        ['POST', `/v2/a/b/blobs/uploads/?digest=${encoded}`],
        ['POST', `/v2/a/b/blobs/uploads/?mount=${encoded}&from=a/c`],
        ['PUT', `${session.headers.location!}?digest=${encoded}`],
        ...['GET', 'HEAD', 'DELETE'].map((method): [string, string] => [
          method,
          `/v2/a/b/blobs/${bad}`,
        ]),
        ...['GET', 'PUT', 'DELETE'].map((method): [string, string] => [
          method,
          `/v2/a/b/manifests/${bad}`,
        ]),
        ['GET', `/v2/a/b/referrers/${bad}`],
      ];
      for (const [method, path] of requests) {
        const answer = await push.send(path, { method });
        expect({ method, path, status: answer.status }).toEqual({ method, path, status: 400 });
      }
      expect(asked).toEqual([]);
    } finally {
      await push.close();
    }
  });
});
