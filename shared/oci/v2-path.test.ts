import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { digestOf } from './digest.ts';
import { RegistryError } from './errors.ts';
import { allowedMethods, parseV2Request } from './v2-path.ts';

const digest = digestOf(Buffer.from('content'));
const uuid = '0f0e0d0c-0b0a-4908-8706-050403020100';

function refusal(method: string, url: string): RegistryError {
  try {
    parseV2Request(method, url);
  } catch (error) {
    if (error instanceof RegistryError) return error;
    throw error;
  }
  throw new Error(`${url} was accepted`);
}

/** Names made of the words that the API itself uses. */
const names = fc
  .array(
    fc.constantFrom(
      'a',
      'a-b',
      'a__b',
      'x1.y',
      'blobs',
      'manifests',
      'uploads',
      'tags',
      'list',
      'referrers',
      'v2',
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((segments) => segments.join('/'));

describe('parseV2Request', () => {
  test.each([
    ['GET', '/v2/', 'base'],
    ['GET', '/v2', 'base'],
    ['GET', '/v2/_catalog?n=5', 'catalogList'],
    ['GET', '/v2/a/tags/list', 'tagList'],
    ['GET', '/v2/a/manifests/v1', 'manifestGet'],
    ['HEAD', '/v2/a/manifests/v1', 'manifestHead'],
    ['PUT', '/v2/a/manifests/v1', 'manifestPut'],
    ['DELETE', '/v2/a/manifests/v1', 'manifestDelete'],
    ['GET', `/v2/a/blobs/${digest}`, 'blobGet'],
    ['HEAD', `/v2/a/blobs/${digest}`, 'blobHead'],
    ['DELETE', `/v2/a/blobs/${digest}`, 'blobDelete'],
    ['POST', '/v2/a/blobs/uploads/', 'uploadStart'],
    ['GET', `/v2/a/blobs/uploads/${uuid}`, 'uploadStatus'],
    ['PATCH', `/v2/a/blobs/uploads/${uuid}`, 'uploadAppend'],
    ['PUT', `/v2/a/blobs/uploads/${uuid}?digest=x`, 'uploadCommit'],
    ['DELETE', `/v2/a/blobs/uploads/${uuid}`, 'uploadCancel'],
    ['GET', `/v2/a/referrers/${digest}`, 'referrerList'],
    ['PATCH', '/v2/a/manifests/v1', 'unknown'],
    ['constructor', '/v2/', 'unknown'],
  ])('%s %s is %s', (method, url, operation) => {
    expect(parseV2Request(method, url).operation).toBe(operation);
  });

  test('finds the name whatever words of the API it is made of', () => {
    fc.assert(
      fc.property(names, (name) => {
        const paths = {
          tags: `/v2/${name}/tags/list`,
          manifest: `/v2/${name}/manifests/list`,
          blob: `/v2/${name}/blobs/${digest}`,
          uploads: `/v2/${name}/blobs/uploads/`,
          upload: `/v2/${name}/blobs/uploads/${uuid}`,
          referrers: `/v2/${name}/referrers/${digest}`,
        };
        for (const [resource, path] of Object.entries(paths)) {
          expect(parseV2Request('GET', path)).toMatchObject({ resource, name, path });
        }
      }),
    );
  });

  test('gives back what every well-formed path was made of', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}$/);
    const name = fc.array(component, { minLength: 1, maxLength: 4 }).map((all) => all.join('/'));
    const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/);
    const anyDigest = fc.uint8Array().map((bytes) => digestOf(bytes));
    const query = fc.webQueryParameters();
    fc.assert(
      fc.property(name, tag, anyDigest, fc.uuid(), query, (repository, word, sum, id, tail) => {
        const expected = [
          [`tags/list`, { resource: 'tags' }],
          [`manifests/${word}`, { reference: { kind: 'tag', tag: word } }],
          [`manifests/${sum}`, { reference: { kind: 'digest', digest: sum } }],
          [`blobs/${sum}`, { resource: 'blob', digest: sum }],
          [`referrers/${sum}`, { resource: 'referrers', digest: sum }],
          [`blobs/uploads/`, { resource: 'uploads' }],
          [`blobs/uploads/${id}`, { resource: 'upload', id }],
        ] as const;
        for (const [end, parts] of expected) {
          const path = `/v2/${repository}/${end}`;
          const request = parseV2Request('GET', `${path}?${tail}`);
          expect(request).toMatchObject({ name: repository, path, ...parts });
        }
      }),
    );
  });

  test('refuses a path with any one character that no path has, wherever it stands', () => {
    const bad = fc.oneof(
      fc.constantFrom(
        '%',
        '%2f',
        '%00',
        '\\',
        '#',
        ' ',
        '\0',
        '\n',
        '\u007f',
        'é',
        '//',
        '/./',
        '/../',
      ),
      fc
        .string({ unit: 'binary', minLength: 1, maxLength: 1 })
        .filter((c) => !/[\x21-\x7e]/.test(c)),
    );
    const paths = fc.constantFrom(
      '/v2/team/app/manifests/v1',
      '/v2/team/app/tags/list',
      `/v2/team/app/blobs/${digest}`,
      `/v2/team/app/blobs/uploads/${uuid}`,
      '/v2/team/app/blobs/uploads/',
    );
    fc.assert(
      fc.property(paths, fc.nat(), bad, (path, at, put) => {
        const place = 4 + (at % (path.length - 4));
        const error = refusal('PUT', path.slice(0, place) + put + path.slice(place));
        expect(error.status).toBe(400);
      }),
      { numRuns: 500 },
    );
  });

  test('refuses paths of 200,000 segments, words of the API and dots in few steps', () => {
    const units = ['a/', 'blobs/uploads/', 'manifests/', '../', './', '//', '-', 'a-', '%2f', '.'];
    for (const unit of units) {
      const path = `/v2/${unit.repeat(200_000)}manifests/v1`;
      expect([400, 404]).toContain(refusal('GET', path).status);
    }
  });

  test('never throws anything but a refusal with a status of 400 or 404', () => {
    const url = fc.oneof(
      fc.string(),
      fc.string().map((tail) => `/v2/${tail}`),
      fc.webUrl(),
    );
    fc.assert(
      fc.property(url, fc.constantFrom('GET', 'PUT', 'PATCH'), (input, method) => {
        try {
          parseV2Request(method, input);
        } catch (error) {
          expect(error).toBeInstanceOf(RegistryError);
          expect([400, 404]).toContain((error as RegistryError).status);
        }
      }),
    );
  });

  test('hands the query over decoded, and only the query', () => {
    const { query, path } = parseV2Request('GET', '/v2/a/tags/list?last=b%2Fc&n=1&n=2?x');
    expect(query.get('last')).toBe('b/c');
    expect(query.getAll('n')).toEqual(['1', '2?x']);
    expect(path).toBe('/v2/a/tags/list');
  });

  test.each([
    ['a percent sign', '/v2/a%2Fb/manifests/v1'],
    ['an encoded dot segment', '/v2/a/%2e%2e/b/manifests/v1'],
    ['an encoded reference', '/v2/a/manifests/sha256%3Aabc'],
    ['a dot segment', '/v2/a/../b/manifests/v1'],
    ['a single dot', '/v2/./a/manifests/v1'],
    ['an empty segment', '/v2/a//manifests/v1'],
    ['a leading empty segment', '/v2//a/manifests/v1'],
    ['a trailing slash', '/v2/a/manifests/v1/'],
    ['a trailing slash after a catalog', '/v2/_catalog/'],
    ['a backslash', '/v2/a\\b/manifests/v1'],
    ['a NUL', '/v2/a\0/manifests/v1'],
    ['a fragment', '/v2/a#b/manifests/v1'],
    ['a space', '/v2/a b/manifests/v1'],
    ['an absolute form', 'http://evil.example/v2/'],
    ['an asterisk', '*'],
    ['nothing', ''],
    ['upper case', '/v2/A/manifests/v1'],
    ['no name', '/v2/manifests/v1'],
    ['no name before an upload', `/v2/blobs/uploads/${uuid}`],
    ['a name of 256 characters', `/v2/${'a'.repeat(256)}/manifests/v1`],
    ['a name of 10 KiB', `/v2/${'a/'.repeat(5120)}b/manifests/v1`],
    ['a reserved word as a name', '/v2/_catalog/manifests/v1'],
  ])('refuses %s with 400 NAME_INVALID', (_, url) => {
    expect(refusal('GET', url)).toMatchObject({ status: 400, code: 'NAME_INVALID' });
  });

  test.each([
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(65)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `md5:${'a'.repeat(32)}`,
    'sha256:baddigeststring',
    'sha256:',
  ])('refuses %s with 400 DIGEST_INVALID wherever a digest stands', (bad) => {
    for (const path of [`blobs/${bad}`, `manifests/${bad}`, `referrers/${bad}`]) {
      expect(refusal('GET', `/v2/a/${path}`)).toMatchObject({
        status: 400,
        code: 'DIGEST_INVALID',
      });
    }
  });

  test('refuses to make a tag that cannot exist, and does not know it otherwise', () => {
    for (const tag of ['.dot', '-dash', 'a'.repeat(129), 'a+b']) {
      const path = `/v2/a/manifests/${tag}`;
      expect(refusal('PUT', path)).toMatchObject({ status: 400, code: 'TAG_INVALID' });
      expect(refusal('GET', path)).toMatchObject({ status: 404, code: 'MANIFEST_UNKNOWN' });
      expect(refusal('DELETE', path)).toMatchObject({ status: 404, code: 'MANIFEST_UNKNOWN' });
    }
  });

  test.each(['not-a-uuid', uuid.toUpperCase(), `${uuid}0`])('does not know the upload %s', (id) => {
    expect(refusal('PATCH', `/v2/a/blobs/uploads/${id}`)).toMatchObject({
      status: 404,
      code: 'BLOB_UPLOAD_UNKNOWN',
    });
  });

  test.each(['/', '/v1/', '/V2/', '/v2x', '/v2/a', '/v2/a/b/c', '/v2/a/tags/other', '/token'])(
    'answers 404 for %s, which is no endpoint',
    (url) => {
      expect(refusal('GET', url).status).toBe(404);
    },
  );
});

describe('allowedMethods', () => {
  test('names the methods of a resource that the role has', () => {
    const has = (operation: string): boolean => !operation.endsWith('Delete');
    expect(allowedMethods('manifest', has)).toEqual(['GET', 'HEAD', 'PUT']);
    expect(allowedMethods('uploads', () => false)).toEqual([]);
  });
});
