import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { MANIFEST_MAX_BYTES, MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

const OCI = { 'content-type': MEDIA_TYPES.ociManifest };
const EMPTY = Buffer.alloc(0);

let push: TestPush;
beforeAll(async () => {
  push = await startPush();
});
afterAll(() => push.close());

const bytesOf = (length: number, seed = 1): Buffer =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 31 + seed * 17) % 251));

async function pushBlob(name: string, body: Buffer): Promise<Digest> {
  const digest = digestOf(body);
  const answer = await push.send(`/v2/${name}/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body,
  });
  expect(answer.status).toBe(201);
  return digest;
}

async function openUpload(name: string, query = ''): Promise<string> {
  const answer = await push.send(`/v2/${name}/blobs/uploads/${query}`, { method: 'POST' });
  expect(answer.status).toBe(202);
  return answer.headers.location!;
}

function imageOf(config: Digest, layers: readonly Digest[], extra: object = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
      layers: layers.map((digest) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest,
        size: 1,
      })),
      ...extra,
    }),
  );
}

async function pushImage(name: string, tag: string, extra: object = {}): Promise<Digest> {
  const config = await pushBlob(name, Buffer.from('{}'));
  const bytes = imageOf(config, [], extra);
  const answer = await push.send(`/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    headers: OCI,
    body: bytes,
  });
  expect(answer.status).toBe(201);
  return digestOf(bytes);
}

const put = (path: string, body: Buffer, headers: Record<string, string> = OCI) =>
  push.send(path, { method: 'PUT', headers, body });

const jsonOf = (answer: TestAnswer): unknown => JSON.parse(answer.body.toString());

describe('uploads', () => {
  test.each(['sha256', 'sha512'] as const)(
    'one POST with a %s digest stores the blob',
    async (algorithm) => {
      const body = bytesOf(100_000);
      const digest = digestOf(body, algorithm);
      const path = `/v2/up/one/blobs/uploads/?digest=${digest}`;
      const answer = await push.send(path, { method: 'POST', body });
      expect(answer.status).toBe(201);
      expect(answer.headers).toMatchObject({
        location: `/v2/up/one/blobs/${digest}`,
        'docker-content-digest': digest,
        'docker-distribution-api-version': 'registry/2.0',
        'x-content-type-options': 'nosniff',
      });
      const pulled = await push.send(answer.headers.location!);
      expect(pulled.status).toBe(200);
      expect(pulled.body.equals(body)).toBe(true);
      expect(pulled.headers).toMatchObject({
        'content-length': '100000',
        'content-type': 'application/octet-stream',
        'accept-ranges': 'bytes',
        etag: `"${digest}"`,
      });
    },
  );

  test('POST and PUT with the whole body store the blob', async () => {
    const body = bytesOf(5000, 2);
    const location = await openUpload('up/two');
    expect(location).toMatch(/^\/v2\/up\/two\/blobs\/uploads\/[0-9a-f-]{36}$/);
    const answer = await put(`${location}?digest=${digestOf(body)}`, body, {});
    expect(answer.status).toBe(201);
    expect((await push.send(answer.headers.location!)).body.equals(body)).toBe(true);
  });

  test('a streamed PATCH without a range and an empty PUT store the blob', async () => {
    const body = bytesOf(300_000, 3);
    const location = await openUpload('up/stream');
    const patched = await push.send(location, {
      method: 'PATCH',
      body: Readable.from([body.subarray(0, 1000), body.subarray(1000)]),
    });
    expect(patched.status).toBe(202);
    expect(patched.headers.range).toBe('0-299999');
    const digest = digestOf(body);
    const answer = await put(`${patched.headers.location!}?digest=${digest}`, EMPTY, {});
    expect(answer.status).toBe(201);
    expect((await push.send(`/v2/up/stream/blobs/${digest}`)).body.equals(body)).toBe(true);
  });

  test('chunks in order are joined, one out of order gets 416 and the session goes on', async () => {
    const body = bytesOf(3000, 4);
    const location = await openUpload('up/chunks');
    const patch = (first: number, end: number): Promise<TestAnswer> =>
      push.send(location, {
        method: 'PATCH',
        headers: { 'content-range': `${first}-${end - 1}` },
        body: body.subarray(first, end),
      });
    expect((await patch(0, 1000)).headers.range).toBe('0-999');
    const refused = await patch(2000, 3000);
    expect(refused.status).toBe(416);
    expect(refused.headers).toMatchObject({ range: '0-999', location });
    const status = await push.send(location);
    expect(status.status).toBe(204);
    expect(status.headers.range).toBe('0-999');
    expect((await patch(1000, 2000)).status).toBe(202);
    const digest = digestOf(body);
    const answer = await put(`${location}?digest=${digest}`, body.subarray(2000), {
      'content-range': '2000-2999',
    });
    expect(answer.status).toBe(201);
    expect((await push.send(`/v2/up/chunks/blobs/${digest}`)).body.equals(body)).toBe(true);
  });

  test('a new session says 0-0, and a cancelled one is unknown', async () => {
    const location = await openUpload('up/cancel');
    expect((await push.send(location)).headers.range).toBe('0-0');
    expect((await push.send(location, { method: 'DELETE' })).status).toBe(204);
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const answer = await push.send(location, { method });
      expect(answer.status).toBe(404);
      expect(errorCode(answer)).toBe('BLOB_UPLOAD_UNKNOWN');
    }
  });

  test('a wrong digest is refused on every path and nothing is stored', async () => {
    const body = bytesOf(2000, 5);
    const wrong = digestOf(Buffer.from('other'));
    const posted = await push.send(`/v2/up/wrong/blobs/uploads/?digest=${wrong}`, {
      method: 'POST',
      body,
    });
    const location = await openUpload('up/wrong');
    const finished = await put(`${location}?digest=${wrong}`, body, {});
    for (const answer of [posted, finished]) {
      expect(answer.status).toBe(400);
      expect(errorCode(answer)).toBe('DIGEST_INVALID');
    }
    expect((await push.send(`/v2/up/wrong/blobs/${wrong}`)).status).toBe(404);
    expect((await push.send(`/v2/up/wrong/blobs/${digestOf(body)}`)).status).toBe(404);
  });

  test('a PUT repeated after success is answered like the first', async () => {
    const body = bytesOf(100, 6);
    const location = await openUpload('up/replay');
    const path = `${location}?digest=${digestOf(body)}`;
    expect((await put(path, body, {})).status).toBe(201);
    expect((await put(path, body, {})).status).toBe(201);
    const other = await put(`${location}?digest=${digestOf(Buffer.from('x'))}`, EMPTY, {});
    expect(other.status).toBe(404);
  });

  test('an empty blob can be pushed in both ways', async () => {
    const digest = digestOf(EMPTY);
    expect(await pushBlob('up/empty1', EMPTY)).toBe(digest);
    const location = await openUpload('up/empty2', '?digest-algorithm=sha256');
    expect((await put(`${location}?digest=${digest}`, EMPTY, {})).status).toBe(201);
    const head = await push.send(`/v2/up/empty2/blobs/${digest}`, { method: 'HEAD' });
    expect(head.headers['content-length']).toBe('0');
  });

  test.each<[string, string, string, Record<string, string>, string]>([
    ['no digest', 'PUT', '', {}, 'DIGEST_INVALID'],
    ['a bad digest', 'PUT', '?digest=sha256:abc', {}, 'DIGEST_INVALID'],
    ['a range in units', 'PATCH', '', { 'content-range': 'bytes 0-3/4' }, 'BLOB_UPLOAD_INVALID'],
    ['a range of another length', 'PATCH', '', { 'content-range': '0-9' }, 'SIZE_INVALID'],
  ])('refuses %s with 400', async (_, method, query, headers, code) => {
    const location = await openUpload('up/bad');
    const answer = await push.send(`${location}${query}`, { method, headers, body: 'abcd' });
    expect(answer.status).toBe(400);
    expect(errorCode(answer)).toBe(code);
  });

  test('refuses an unknown digest algorithm when the upload starts', async () => {
    const path = '/v2/up/bad/blobs/uploads/?digest-algorithm=md5';
    expect(errorCode(await push.send(path, { method: 'POST' }))).toBe('DIGEST_INVALID');
  });

  test('two PATCHes at once on one session never mix their bytes', async () => {
    const location = await openUpload('up/race');
    const bodies = [bytesOf(50_000, 7), bytesOf(50_000, 8)];
    const answers = await Promise.all(
      bodies.map((body) =>
        push.send(location, {
          method: 'PATCH',
          headers: { 'content-range': '0-49999' },
          body,
        }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 416]);
    const winner = bodies[answers.findIndex(({ status }) => status === 202)]!;
    expect((await put(`${location}?digest=${digestOf(winner)}`, EMPTY, {})).status).toBe(201);
  });

  test('a client that leaves mid-body keeps its session and is no error', async () => {
    const location = await openUpload('up/gone');
    const socket = connect({ host: '127.0.0.1', port: push.port });
    socket.write(
      `PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n`,
    );
    const [leave] = (await once(socket, 'data')) as [Buffer];
    expect(leave.toString()).toMatch(/^HTTP\/1.1 100 /);
    socket.write('abc');
    const before = push.edge.requests.length;
    socket.destroy();
    await until(() => push.edge.requests.slice(before).some(({ isClientGone }) => isClientGone));
    expect(push.edge.lines.filter(({ level }) => level === 'error')).toEqual([]);
    await until(async () => (await push.send(location)).status === 204);
  });
});

describe('mounts', () => {
  test('take a blob over from a repository that has it', async () => {
    const digest = await pushBlob('mount/from', bytesOf(10, 9));
    const path = `/v2/mount/to/blobs/uploads/?mount=${digest}&from=mount/from`;
    const answer = await push.send(path, { method: 'POST' });
    expect(answer.status).toBe(201);
    expect(answer.headers.location).toBe(`/v2/mount/to/blobs/${digest}`);
    expect((await push.send(answer.headers.location!)).status).toBe(200);
  });

  test.each(['', '&from=mount/nothing', '&from=UPPER'])(
    'become an ordinary upload when the source is "%s"',
    async (from) => {
      const body = bytesOf(10, 10);
      await pushBlob('mount/other', body);
      const digest = digestOf(body);
      const location = await openUpload('mount/new', `?mount=${digest}${from}`);
      expect((await push.send(`/v2/mount/new/blobs/${digest}`)).status).toBe(404);
      expect((await push.send(location)).status).toBe(204);
    },
  );

  test('refuse a digest that is none', async () => {
    const path = '/v2/mount/new/blobs/uploads/?mount=sha256:x&from=a';
    expect(errorCode(await push.send(path, { method: 'POST' }))).toBe('DIGEST_INVALID');
  });
});

describe('manifests', () => {
  test('are served byte for byte with their type by tag and by digest', async () => {
    const config = await pushBlob('man/one', Buffer.from('{}'));
    const bytes = imageOf(config, []);
    const digest = digestOf(bytes);
    const answer = await put('/v2/man/one/manifests/v1', bytes, {
      'content-type': `${MEDIA_TYPES.ociManifest}; charset=utf-8`,
    });
    expect(answer.status).toBe(201);
    expect(answer.headers).toMatchObject({
      location: `/v2/man/one/manifests/${digest}`,
      'docker-content-digest': digest,
    });
    for (const reference of ['v1', digest]) {
      for (const method of ['GET', 'HEAD']) {
        const pulled = await push.send(`/v2/man/one/manifests/${reference}`, { method });
        expect(pulled.status).toBe(200);
        expect(pulled.headers).toMatchObject({
          'content-type': MEDIA_TYPES.ociManifest,
          'content-length': String(bytes.length),
          'docker-content-digest': digest,
          etag: `"${digest}"`,
        });
        expect(pulled.body.equals(method === 'GET' ? bytes : EMPTY)).toBe(true);
      }
    }
  });

  test('answer 304 to a client that has them', async () => {
    const digest = await pushImage('man/cond', 'v1');
    for (const method of ['GET', 'HEAD']) {
      const headers = { 'if-none-match': `"other", W/"${digest}"` };
      const answer = await push.send('/v2/man/cond/manifests/v1', { method, headers });
      expect(answer.status).toBe(304);
      expect(answer.headers.etag).toBe(`"${digest}"`);
    }
  });

  test('are refused while content that they name is missing', async () => {
    const missing = digestOf(Buffer.from('not here'));
    const answer = await put('/v2/man/miss/manifests/v1', imageOf(missing, [missing]));
    expect(answer.status).toBe(400);
    expect(jsonOf(answer)).toMatchObject({
      errors: [{ code: 'MANIFEST_BLOB_UNKNOWN', detail: { digests: [missing], isComplete: true } }],
    });
    expect((await push.send('/v2/man/miss/manifests/v1')).status).toBe(404);
  });

  test('name fifty of what is missing, and whether that is all', async () => {
    const digests = Array.from({ length: 80 }, (_, at) => digestOf(Buffer.from(`lost ${at}`)));
    const answer = await put('/v2/man/miss/manifests/v2', imageOf(digests[0]!, digests));
    const { errors } = jsonOf(answer) as {
      errors: { detail: { digests: string[]; isComplete: boolean } }[];
    };
    expect(errors[0]?.detail.isComplete).toBe(false);
    const named = new Set(errors[0]?.detail.digests);
    expect(named.size).toBe(50);
    expect(digests).toEqual(expect.arrayContaining([...named]));
  });

  test('need neither foreign layers nor their subject, and name the subject in the answer', async () => {
    const config = await pushBlob('man/sub', Buffer.from('{}'));
    const missing = digestOf(Buffer.from('not here either'));
    const bytes = imageOf(config, [], {
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
          digest: missing,
          size: 5,
          urls: ['https://example.com/x'],
        },
      ],
      subject: { mediaType: MEDIA_TYPES.ociManifest, digest: missing, size: 5 },
    });
    const answer = await put(`/v2/man/sub/manifests/${digestOf(bytes)}`, bytes);
    expect(answer.status).toBe(201);
    expect(answer.headers['oci-subject']).toBe(missing);
  });

  test('an index takes manifests and blobs of its repository as children', async () => {
    const child = await pushImage('man/index', 'child');
    const blob = await pushBlob('man/index', bytesOf(10, 11));
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          { mediaType: MEDIA_TYPES.ociManifest, digest: child, size: 1 },
          { mediaType: 'application/x-tar', digest: blob, size: 10 },
        ],
      }),
    );
    const answer = await put('/v2/man/index/manifests/all', bytes, {
      'content-type': MEDIA_TYPES.ociIndex,
    });
    expect(answer.status).toBe(201);
    const pulled = await push.send('/v2/man/index/manifests/all');
    expect(pulled.headers['content-type']).toBe(MEDIA_TYPES.ociIndex);
  });

  test('can be pushed by digest with tags, which are named in the answer', async () => {
    const config = await pushBlob('man/tags', Buffer.from('{}'));
    const bytes = imageOf(config, []);
    const digest = digestOf(bytes, 'sha512');
    const answer = await put(`/v2/man/tags/manifests/${digest}?tag=a&tag=b`, bytes);
    expect(answer.status).toBe(201);
    expect(answer.headers['oci-tag']).toBe('a, b');
    const pulled = await push.send('/v2/man/tags/manifests/b');
    expect(pulled.headers['docker-content-digest']).toBe(digest);
    const bad = await put(`/v2/man/tags/manifests/${digest}?tag=.bad`, bytes);
    expect(errorCode(bad)).toBe('TAG_INVALID');
  });

  test('are refused under a digest that is not theirs', async () => {
    const wrong = digestOf(Buffer.from('x'));
    const answer = await put(`/v2/man/wrong/manifests/${wrong}`, imageOf(wrong, []));
    expect(answer.status).toBe(400);
    expect(errorCode(answer)).toBe('DIGEST_INVALID');
  });

  test('are taken up to 4 MiB, announced or in chunks, and refused with 413 above', async () => {
    const config = await pushBlob('man/large', Buffer.from('{}'));
    const plain = imageOf(config, [], { annotations: { x: '' } });
    const fill = 'x'.repeat(MANIFEST_MAX_BYTES - plain.length);
    const largest = imageOf(config, [], { annotations: { x: fill } });
    expect(largest).toHaveLength(MANIFEST_MAX_BYTES);
    expect((await put('/v2/man/large/manifests/v1', largest)).status).toBe(201);
    const tooLarge = Buffer.concat([largest, Buffer.from(' ')]);
    const announced = await put('/v2/man/large/manifests/v2', tooLarge);
    const chunked = await push.send('/v2/man/large/manifests/v2', {
      method: 'PUT',
      headers: OCI,
      body: Readable.from([largest, Buffer.from(' ')]),
    });
    for (const answer of [announced, chunked]) {
      expect(answer.status).toBe(413);
      expect(errorCode(answer)).toBe('MANIFEST_INVALID');
      expect(answer.headers.connection).toBe('close');
    }
  });

  test('are taken without their content when the operator allows it', async () => {
    const lenient = await startPush({ config: { manifestReferences: 'allow-missing' } });
    try {
      const missing = digestOf(Buffer.from('gone'));
      const body = imageOf(missing, []);
      const answer = await lenient.send('/v2/a/b/manifests/v1', {
        method: 'PUT',
        headers: OCI,
        body,
      });
      expect(answer.status).toBe(201);
    } finally {
      await lenient.close();
    }
  });
});

describe('listings', () => {
  test('tags are sorted and paged with links', async () => {
    for (const tag of ['a_b', 'aa', 'a.b', 'a', 'a-b']) await pushImage('list/tags', tag);
    const all = await push.send('/v2/list/tags/tags/list');
    const sorted = ['a', 'a-b', 'a.b', 'a_b', 'aa'];
    expect(jsonOf(all)).toEqual({ name: 'list/tags', tags: sorted });
    expect(all.headers['link']).toBeUndefined();
    const seen: string[] = [];
    let path: string | undefined = '/v2/list/tags/tags/list?n=2';
    while (path !== undefined) {
      const page = await push.send(path);
      seen.push(...(jsonOf(page) as { tags: string[] }).tags);
      path = /^<([^>]+)>; rel="next"$/.exec(
        (page.headers['link'] as string | undefined) ?? '',
      )?.[1];
    }
    expect(seen).toEqual(sorted);
    const none = await push.send('/v2/list/tags/tags/list?n=0');
    expect(jsonOf(none)).toEqual({ name: 'list/tags', tags: [] });
    expect(none.headers['link']).toBeUndefined();
    expect((await push.send('/v2/list/tags/tags/list?n=-1')).status).toBe(400);
  });

  test('a repository nobody pushed to is unknown', async () => {
    const answer = await push.send('/v2/list/nothing/tags/list');
    expect(answer.status).toBe(404);
    expect(errorCode(answer)).toBe('NAME_UNKNOWN');
  });

  test('the catalog lists repositories', async () => {
    await pushImage('list/catalog', 'v1');
    const answer = await push.send('/v2/_catalog?n=1&last=list/catalo');
    expect(jsonOf(answer)).toEqual({ repositories: ['list/catalog'] });
    expect(answer.headers['link']).toContain('rel="next"');
  });

  test('referrers are listed and filtered by artifact type, and none is an empty index', async () => {
    const subject = await pushImage('list/ref', 'v1');
    const descriptor = { mediaType: MEDIA_TYPES.ociManifest, digest: subject, size: 1 };
    await pushImage('list/ref', 'r1', { subject: descriptor, artifactType: 'a/one' });
    const two = await pushImage('list/ref', 'r2', {
      subject: descriptor,
      artifactType: 'a/two',
      annotations: { k: 'v' },
    });
    const all = await push.send(`/v2/list/ref/referrers/${subject}`);
    expect((jsonOf(all) as { manifests: unknown[] }).manifests).toHaveLength(2);
    const some = await push.send(`/v2/list/ref/referrers/${subject}?artifactType=a/two`);
    expect(some.headers['oci-filters-applied']).toBe('artifactType');
    expect(some.headers['content-type']).toBe(MEDIA_TYPES.ociIndex);
    expect(jsonOf(some)).toMatchObject({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [{ digest: two, artifactType: 'a/two', annotations: { k: 'v' } }],
    });
    const none = await push.send(`/v2/list/unknown/referrers/${subject}`);
    expect(none.status).toBe(200);
    expect(jsonOf(none)).toMatchObject({ manifests: [] });
  });
});

describe('blobs', () => {
  test('are served in ranges', async () => {
    const body = bytesOf(2000, 12);
    const path = `/v2/blob/range/blobs/${await pushBlob('blob/range', body)}`;
    const cases: [string, number, number][] = [
      ['bytes=500-1499', 500, 1500],
      ['bytes=500-', 500, 2000],
      ['bytes=-500', 1500, 2000],
      ['bytes=1900-5000', 1900, 2000],
    ];
    for (const [range, first, end] of cases) {
      const answer = await push.send(path, { headers: { range } });
      expect(answer.status).toBe(206);
      expect(answer.headers['content-range']).toBe(`bytes ${first}-${end - 1}/2000`);
      expect(answer.headers['content-length']).toBe(String(end - first));
      expect(answer.body.equals(body.subarray(first, end))).toBe(true);
    }
    for (const range of ['bytes=5000-10000', 'bytes=500-0']) {
      const answer = await push.send(path, { headers: { range } });
      expect(answer.status).toBe(416);
      expect(answer.headers['content-range']).toBe('bytes */2000');
      expect(errorCode(answer)).toBe('RANGE_INVALID');
    }
    const several = await push.send(path, { headers: { range: 'bytes=0-1,5-6' } });
    expect(several.status).toBe(200);
    const other = await push.send(path, { headers: { range: 'bytes=0-1', 'if-range': '"x"' } });
    expect(other.status).toBe(200);
  });

  test('of another repository are not readable', async () => {
    const digest = await pushBlob('blob/mine', bytesOf(10, 13));
    for (const method of ['GET', 'HEAD']) {
      const answer = await push.send(`/v2/blob/yours/blobs/${digest}`, { method });
      expect(answer.status).toBe(404);
    }
    const conditional = await push.send(`/v2/blob/yours/blobs/${digest}`, {
      headers: { 'if-none-match': `"${digest}"` },
    });
    expect(conditional.status).toBe(404);
  });
});

describe('deletes', () => {
  test('a deleted manifest takes its tags along, at once', async () => {
    const digest = await pushImage('del/man', 'v1');
    const path = `/v2/del/man/manifests/${digest}`;
    expect((await push.send(path, { method: 'DELETE' })).status).toBe(202);
    for (const reference of ['v1', digest]) {
      const answer = await push.send(`/v2/del/man/manifests/${reference}`, { method: 'HEAD' });
      expect(answer.status).toBe(404);
    }
    expect((await push.send(path, { method: 'DELETE' })).status).toBe(404);
  });

  test('a deleted tag leaves its manifest', async () => {
    const digest = await pushImage('del/tag', 'v1');
    const path = '/v2/del/tag/manifests/v1';
    expect((await push.send(path, { method: 'DELETE' })).status).toBe(202);
    expect((await push.send(path)).status).toBe(404);
    expect((await push.send(`/v2/del/tag/manifests/${digest}`)).status).toBe(200);
    expect((await push.send(path, { method: 'DELETE' })).status).toBe(404);
  });

  test('a deleted blob is gone from its repository only', async () => {
    const body = bytesOf(20, 14);
    const digest = await pushBlob('del/blob', body);
    await pushBlob('del/other', body);
    const path = `/v2/del/blob/blobs/${digest}`;
    expect((await push.send(path, { method: 'DELETE' })).status).toBe(202);
    expect((await push.send(path)).status).toBe(404);
    expect((await push.send(path, { method: 'DELETE' })).status).toBe(404);
    expect((await push.send(`/v2/del/other/blobs/${digest}`)).status).toBe(200);
  });

  test('are refused with 405 where the operator switched them off', async () => {
    const fixed = await startPush({ config: { isDeleteEnabled: false } });
    try {
      const digest = digestOf(EMPTY);
      for (const path of ['manifests/v1', `manifests/${digest}`, `blobs/${digest}`]) {
        const answer = await fixed.send(`/v2/a/b/${path}`, { method: 'DELETE' });
        expect(answer.status).toBe(405);
        expect(errorCode(answer)).toBe('UNSUPPORTED');
        expect(answer.headers.allow).not.toContain('DELETE');
        expect(answer.headers.allow).toContain('GET');
      }
    } finally {
      await fixed.close();
    }
  });

  test('of cached copies are refused', async () => {
    const signal = new AbortController().signal;
    const digest = await pushImage('del/cached', 'v1');
    const marker = {
      schemaVersion: 1,
      upstreamUrl: 'https://registry.example',
      upstreamRepository: 'x/y',
      verdict: 'public',
    } as const;
    await push.store.index.origins.put('del/cached' as never, marker, signal);
    const path = `/v2/del/cached/manifests/${digest}`;
    const answer = await push.send(path, { method: 'DELETE' });
    expect(answer.status).toBe(403);
    expect(errorCode(answer)).toBe('DENIED');
  });
});

describe('names', () => {
  test.each(['library/redis', 'local/x', 'mirror/x', 'docker.io/x', 'ghcr.io/x/y'])(
    '%s cannot be pushed to, and nothing is written',
    async (name) => {
      const digest = digestOf(EMPTY);
      const answers = [
        await push.send(`/v2/${name}/blobs/uploads/`, { method: 'POST' }),
        await push.send(`/v2/${name}/blobs/uploads/?digest=${digest}`, { method: 'POST' }),
        await push.send(`/v2/${name}/blobs/uploads/?mount=${digest}&from=up/one`, {
          method: 'POST',
        }),
        await put(`/v2/${name}/manifests/v1`, imageOf(digest, [])),
      ];
      for (const answer of answers) {
        expect(answer.status).toBe(403);
        expect(errorCode(answer)).toBe('DENIED');
      }
      const repositories = join(push.store.folder, 'docker/registry/v2/repositories');
      expect(await readdir(repositories)).not.toContain(name.split('/')[0]);
    },
  );

  test('the namespace parameter is heeded and echoed', async () => {
    await pushImage('names/ns', 'v1');
    const own = await push.send('/v2/names/ns/manifests/v1?ns=localhost:5000');
    expect(own.status).toBe(200);
    expect(own.headers['oci-namespace']).toBe('localhost:5000');
    expect((await push.send('/v2/names/ns/manifests/v1?ns=quay.io')).status).toBe(404);
    expect((await push.send('/v2/names/ns/manifests/v1?ns=a%0d%0ab')).status).toBe(400);
  });
});
