import { expect, test } from '@jest/globals';

import { unending } from '../storage/testing/contract-support.ts';
import { SESSION_SECONDS, Sessions } from './sessions.ts';
import { testManagement } from './testing/test-management.ts';

const ALICE = { identityId: 'oidc:https://login.example#f3a1', stamp: 's1' };

function newBench() {
  const { records, clock } = testManagement();
  return { records, clock, sessions: new Sessions(records, clock) };
}

test('a session belongs to whoever has its token, which the store does not have', async () => {
  const { records, sessions } = newBench();
  const token = await sessions.begin(ALICE, unending);
  expect(await sessions.find(token, unending)).toEqual(ALICE);
  for (const [key, bytes] of records.records)
    expect(`${key}${bytes.toString()}`).not.toContain(token);
});

test('every sign-in begins another session', async () => {
  const { sessions } = newBench();
  expect(await sessions.begin(ALICE, unending)).not.toBe(await sessions.begin(ALICE, unending));
});

test('what is no token of a session finds none', async () => {
  const { sessions } = newBench();
  await sessions.begin(ALICE, unending);
  for (const token of ['', 'x', '../../projects/team', 'a'.repeat(43), 'a'.repeat(10_000)]) {
    expect(await sessions.find(token, unending)).toBeUndefined();
    await sessions.end(token, unending);
  }
});

test('a session that was ended is ended at once', async () => {
  const { sessions } = newBench();
  const token = await sessions.begin(ALICE, unending);
  await sessions.end(token, unending);
  expect(await sessions.find(token, unending)).toBeUndefined();
});

test('a session ends by itself, and new ones clear away what is left', async () => {
  const { records, sessions, clock } = newBench();
  const tokens = [];
  for (let index = 0; index < 10; index += 1) tokens.push(await sessions.begin(ALICE, unending));
  clock.advance(SESSION_SECONDS * 1_000);
  expect(await sessions.find(tokens[0] ?? '', unending)).toBeUndefined();
  for (let index = 0; index < 40; index += 1) await sessions.begin(ALICE, unending);
  expect(records.records.size).toBeLessThan(45);
});
