import { describe, expect, test } from '@jest/globals';

import { digestOf } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/reference.ts';
import { isMeant, parseReferencePattern } from './reference-pattern.ts';

const TABLE = [
  { project: 'mirror', url: 'https://registry-1.docker.io', hosts: ['docker.io'] },
  { project: 'ghcr', url: 'https://ghcr.io', hosts: ['ghcr.io'] },
];
const digest = digestOf(Buffer.from('manifest'));
const other = digestOf(Buffer.from('other'));

function isPatternFor(text: string, name: string, tag?: string, of = digest): boolean {
  const pattern = parseReferencePattern(text, TABLE);
  if (!pattern) throw new Error(`${text} is no pattern`);
  return isMeant(pattern, { repository: name as RepositoryName, tag: tag as Tag, digest: of });
}

describe('a reference pattern', () => {
  test.each([
    ['docker.io/redis', 'mirror/library/redis'],
    ['mirror/redis:7', 'mirror/library/redis:7'],
    ['ghcr.io/org/*', 'ghcr/org/*'],
    ['docker.io/*', 'mirror/*'],
    ['team/app:1*', 'team/app:1*'],
    [`team/app@${digest}`, `team/app@${digest}`],
    [digest, digest],
  ])('%s is kept as %s', (input, text) => {
    expect(parseReferencePattern(input, TABLE)?.text).toBe(text);
  });

  test.each([
    '',
    'Team/app',
    'team/app:',
    'team/app@sha256:1',
    'a:b:c',
    'a@b@c',
    '-x',
    'sha256:12',
  ])('%p is none', (input) => {
    expect(parseReferencePattern(input, TABLE)).toBeUndefined();
  });

  test('means everything in a repository, a tag of it, or a digest', () => {
    expect(isPatternFor('ghcr.io/org/*', 'ghcr/org/deep/app')).toBe(true);
    expect(isPatternFor('ghcr.io/org/*', 'ghcr/organ/app')).toBe(false);
    expect(isPatternFor('team/app:1*', 'team/app', '1.2')).toBe(true);
    expect(isPatternFor('team/app:1*', 'team/app', '2')).toBe(false);
    expect(isPatternFor('team/app:1*', 'team/app')).toBe(false);
    expect(isPatternFor(digest, 'any/name')).toBe(true);
    expect(isPatternFor(digest, 'any/name', undefined, other)).toBe(false);
    expect(isPatternFor(`team/app@${digest}`, 'team/app', '1')).toBe(true);
    expect(isPatternFor(`team/app@${digest}`, 'team/other', '1')).toBe(false);
    expect(isPatternFor('team/a.p', 'team/axp')).toBe(false);
  });
});
