import { describe, expect, test } from '@jest/globals';

import type { ProjectRecord } from '../index/ports.ts';
import { parseTag } from '../oci/reference.ts';
import { immutableTagsOf } from './immutable-tags.ts';

const project = (...immutableTags: string[]): ProjectRecord => ({
  schemaVersion: 1,
  name: 'team',
  createdAt: '2026-01-01T00:00:00.000Z',
  immutableTags,
});
const isImmutable = (tag: string, ...globs: string[]): boolean =>
  immutableTagsOf(project(...globs))(parseTag(tag)!);

describe('rules on immutable tags', () => {
  test.each([
    ['v1', ['v1'], true],
    ['v10', ['v1'], false],
    ['v1.2', ['v*'], true],
    ['av1', ['v*'], false],
    ['1.2.3-rc', ['*-rc'], true],
    ['rc', ['*-rc'], false],
    ['a', ['a*a'], false],
    ['aa', ['a*a'], true],
    ['release-2026-final', ['release-*-*'], true],
    ['abcabd', ['*ab*d'], true],
    ['latest', ['*'], true],
    ['latest', ['v*', 'lat*'], true],
    ['v1x2', ['v1.2'], false],
    ['latest', [], false],
  ])('%s under %j: %s', (tag, globs, expected) => {
    expect(isImmutable(tag, ...globs)).toBe(expected);
  });

  test('take no longer for a rule of many parts', () => {
    const started = performance.now();
    expect(isImmutable('a'.repeat(128), `${'*a'.repeat(60)}*b`)).toBe(false);
    // Microseconds, against years where every way to divide the tag is tried.
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
