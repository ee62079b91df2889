import { describe, expect, test } from '@jest/globals';

import { withPrefixBehindV2 } from './upstream-prefix.ts';

const upstreams = [
  { project: 'mirror', url: 'https://registry-1.docker.io', hosts: ['docker.io'] },
  { project: 'ghcr.io', url: 'https://ghcr.io', hosts: ['ghcr.io'] },
];

describe('withPrefixBehindV2', () => {
  test.each([
    ['/ghcr.io/v2/org/app/manifests/1?ns=ghcr.io', '/v2/ghcr.io/org/app/manifests/1?ns=ghcr.io'],
    ['/docker.io/v2/library/redis/tags/list', '/v2/docker.io/library/redis/tags/list'],
    ['/mirror/v2/redis/blobs/sha256:ab', '/v2/mirror/redis/blobs/sha256:ab'],
  ])('puts an upstream’s name before /v2 behind it: %s', (url, expected) => {
    expect(withPrefixBehindV2(url, upstreams)).toBe(expected);
  });

  test('adds the /v2 that k3s leaves out', () => {
    const path = '/ghcr.io/org/app/manifests/1?ns=ghcr.io';
    expect(withPrefixBehindV2(path, upstreams)).toBe(`/v2${path}`);
  });

  test('takes the question whether this is a registry under an upstream’s name', () => {
    expect(withPrefixBehindV2('/ghcr.io/v2/', upstreams)).toBe('/v2/');
    expect(withPrefixBehindV2('/ghcr.io/v2', upstreams)).toBe('/v2');
    expect(withPrefixBehindV2('/ghcr.io/v2/?ns=ghcr.io', upstreams)).toBe('/v2/?ns=ghcr.io');
  });

  test.each(['/', '/v2', '/ghcr.io', '/other/v2/org/app/manifests/1', '/api/v1/x', '//v2/', '*'])(
    'leaves alone what begins with no upstream’s name: %s',
    (url) => {
      expect(withPrefixBehindV2(url, upstreams)).toBe(url);
    },
  );
});
