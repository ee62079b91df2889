import { expect, test } from '@jest/globals';

import { returnPath } from './return-path.ts';

test.each(['/auth/', '/auth/passwords', '/console/projects/team-a', '/console'])(
  'a sign-in leads back to %s',
  (path) => {
    expect(returnPath(path)).toBe(path);
  },
);

test.each([
  undefined,
  '',
  '/',
  '//evil.example',
  '/\\evil.example',
  'https:evil.example',
  'https://evil.example/auth/',
  '/%2f%2fevil.example',
  '/auth//evil.example',
  '/auth/../../x',
  '/auth/?next=//evil.example',
  '/auth/\r\nSet-Cookie: a=b',
  '/v2/',
  'javascript:alert(1)',
  `/auth/${'a'.repeat(600)}`,
])('a sign-in leads nowhere else: %j', (path) => {
  expect(returnPath(path)).toBe('/auth/');
});
