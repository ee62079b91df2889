import { expect, test } from '@jest/globals';

import {
  formToken,
  isFormToken,
  parseCookies,
  publicOrigin,
  SessionCookies,
} from './session-cookies.ts';

test.each(['http://registry.example', 'ftp://localhost', 'http://localhost.evil.example'])(
  'nobody is signed in at %s',
  (url) => {
    expect(publicOrigin(url)).toBeUndefined();
  },
);

test('a cookie is bound to host and TLS, except on this machine without TLS', () => {
  const write = (url: string): string =>
    new SessionCookies(publicOrigin(url)!).write('name', 'value', 60);
  expect(write('https://registry.example/callback')).toBe(
    '__Host-name=value; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure',
  );
  for (const url of ['http://localhost:5000', 'http://127.0.0.1:5000', 'http://[::1]:5000']) {
    expect(write(url)).toBe('name=value; Max-Age=60; Path=/; HttpOnly; SameSite=Lax');
  }
});

test('of two cookies of one name the first counts', () => {
  expect([...parseCookies(' a=1; b = 2;a=3; =4; c')]).toEqual([
    ['a', '1'],
    ['b', '2'],
  ]);
  expect(parseCookies(undefined).size).toBe(0);
});

test('a form token fits its session alone and does not tell it', () => {
  expect(isFormToken(formToken('one'), 'one')).toBe(true);
  expect(formToken('one')).not.toContain('one');
  for (const given of [undefined, '', formToken('other'), 'é'.repeat(43)]) {
    expect(isFormToken(given, 'one')).toBe(false);
  }
});
