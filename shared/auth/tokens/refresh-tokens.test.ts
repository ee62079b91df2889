import { expect, test } from '@jest/globals';

import { ManualClock } from '../../index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../../index/testing/memory-record-store.ts';
import { refreshTokensFolder } from '../../storage/object-keys.ts';
import { unending } from '../../storage/testing/contract-support.ts';
import type { ProvedIdentity, StandingIdentity } from '../password-source.ts';
import { RefreshTokens } from './refresh-tokens.ts';

const alice: ProvedIdentity = {
  kind: 'user',
  id: 'local:alice',
  name: 'alice',
  groups: [],
  isAdmin: false,
  stamp: 'of the first password',
};

function newBench() {
  const records = new MemoryRecordStore();
  const clock = new ManualClock();
  let standing: StandingIdentity | undefined = { identity: alice, stamp: alice.stamp ?? '' };
  const tokens = new RefreshTokens({
    records,
    clock,
    lifeSeconds: 3_600,
    findStanding: () => Promise.resolve(standing),
  });
  const become = (next: StandingIdentity | undefined): void => {
    standing = next;
  };
  const kept = (): string[] =>
    [...records.records.keys()].filter((key) => key.startsWith(refreshTokensFolder));
  return { records, clock, tokens, become, kept };
}

test('a kept login is worth what its password is: nothing when that was changed since it was compared', async () => {
  const { tokens, become, kept } = newBench();
  const token = (await tokens.issue(alice, unending)) ?? '';
  expect(await tokens.identify(token, unending)).toEqual(alice);
  become({ identity: alice, stamp: 'of the second password' });
  expect(await tokens.identify(token, unending)).toBeUndefined();
  expect(await tokens.issue(alice, unending)).toBeUndefined();
  become(undefined);
  expect(await tokens.issue(alice, unending)).toBeUndefined();
  expect(kept()).toHaveLength(1);
});

test('one that has lapsed is nobody, and its record is removed without being read', async () => {
  const { tokens, clock, kept, records } = newBench();
  const early = (await tokens.issue(alice, unending)) ?? '';
  clock.advance(1_800_000);
  const late = (await tokens.issue(alice, unending)) ?? '';
  clock.advance(1_801_000);
  expect(await tokens.identify(early, unending)).toBeUndefined();
  expect(await tokens.identify(late, unending)).toEqual(alice);
  records.get = () => Promise.reject(new Error('nothing is read'));
  await tokens.removeLapsed(unending);
  expect(kept()).toHaveLength(1);
});

test('nobody has more than a thousand: the oldest ends', async () => {
  const { tokens, clock, kept, records } = newBench();
  const oldest = (await tokens.issue(alice, unending)) ?? '';
  clock.advance(1_000);
  const next = (await tokens.issue(alice, unending)) ?? '';
  const [, second = ''] = kept();
  const bytes = records.records.get(second) ?? Buffer.of();
  for (let more = 2; more < 1_000; more += 1) {
    records.records.set(second.replace('.json', `-${more}.json`), bytes);
  }
  clock.advance(1_000);
  const newest = (await tokens.issue(alice, unending)) ?? '';
  expect(kept()).toHaveLength(1_000);
  expect(await tokens.identify(oldest, unending)).toBeUndefined();
  expect(await tokens.identify(next, unending)).toEqual(alice);
  expect(await tokens.identify(newest, unending)).toEqual(alice);
});
