import { expect, test } from '@jest/globals';
import bcrypt from 'bcrypt';

import { hashPassword, matchesPassword, passwordProblem } from './password-hash.ts';

test('a password is kept as a bcrypt hash of cost 12 that it alone matches', async () => {
  const hash = await hashPassword('geheim');
  expect(hash).toMatch(/^\$2b\$12\$/);
  expect(await matchesPassword('geheim', hash)).toBe(true);
  expect(await matchesPassword('Geheim', hash)).toBe(false);
});

test('a password beyond the 72 bytes that bcrypt reads is refused, since others would be equal to it', async () => {
  const long = 'x'.repeat(72);
  expect(passwordProblem(long)).toBeUndefined();
  for (const password of [`${long}a`, 'ä'.repeat(37), '', 'a\0b']) {
    expect(passwordProblem(password)).toMatch(/^must not /);
    await expect(hashPassword(password)).rejects.toThrow(RangeError);
  }
  expect(await matchesPassword(`${long}a`, await bcrypt.hash(long, 4))).toBe(false);
});

test('nothing matches the hash that stands in for a user who does not exist', async () => {
  const pretended = await bcrypt.hash('guess', 4);
  expect(await matchesPassword('guess', undefined, pretended)).toBe(false);
  expect(await matchesPassword('guess', pretended)).toBe(true);
});
