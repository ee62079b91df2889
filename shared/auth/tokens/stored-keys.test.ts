import path from 'node:path';

import { beforeEach, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { ManualClock } from '../../index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../../index/testing/memory-record-store.ts';
import { tokenKeyKey } from '../../storage/object-keys.ts';
import { unending } from '../../storage/testing/contract-support.ts';
import { distrustStoredKeys, rotateStoredKeys, StoredKeys } from './stored-keys.ts';
import { TokenIssuer } from './token-issuer.ts';
import { OwnTokenVerifier } from './token-verifier.ts';

const LIFE = 300;
const alice = {
  kind: 'user',
  id: 'local:alice',
  name: 'alice',
  groups: [],
  isAdmin: false,
} as const;

describe('keys that lie in the store', () => {
  let records: MemoryRecordStore;
  let clock: ManualClock;
  beforeEach(() => {
    records = new MemoryRecordStore();
    clock = new ManualClock();
  });

  /** A process: what issues tokens for a role and what verifies those of it. */
  function replica() {
    const keys = new StoredKeys(records, clock, unending);
    const common = { keys, issuer: 'twinport', clock };
    return {
      keys,
      issue: async (service = 'twinport'): Promise<string> => {
        const issuer = new TokenIssuer({ ...common, service, lifeSeconds: LIFE });
        return (await issuer.issue(alice, [])).token;
      },
      believes: async (token: string, service = 'twinport'): Promise<boolean> => {
        const verifier = new OwnTokenVerifier({ ...common, service });
        return (await verifier.verify(token)) !== undefined;
      },
    };
  }
  const kidOf = (token: string): string => jwt.decode(token, { complete: true })?.header.kid ?? '';

  test('are made once, and every replica believes the tokens of the others', async () => {
    const [one, other] = [replica(), replica()];
    const token = await one.issue();
    expect(await other.believes(token)).toBe(true);
    expect(kidOf(await other.issue())).toBe(kidOf(token));
  });

  test('are rotated without a token that is refused: the new one is published before it signs, the old one until its tokens lapse', async () => {
    const [one, other] = [replica(), replica()];
    const before = await one.issue();
    await other.believes(before);
    const old = tokenKeyKey(kidOf(before));
    clock.advance(60_000);
    const rotating = rotateStoredKeys(records, clock, unending);
    while (clock.sleepers === 0) await new Promise((resolve) => setImmediate(resolve));
    const made = [...records.records.keys()].find((key) => key !== old) ?? '';
    const kid = path.posix.basename(made, '.json');
    const again = await one.issue();
    expect(kidOf(again)).toBe(kidOf(before));
    for (let second = 0; second <= LIFE + 60; second += 10) {
      const [ours, theirs] = [await one.issue(), await other.issue()];
      expect([second, await other.believes(ours), await one.believes(theirs)]).toEqual([
        second,
        true,
        true,
      ]);
      if (second > 60) expect([kidOf(ours), kidOf(theirs)]).toEqual([kid, kid]);
      if (second > 15) {
        const published = (await other.keys.published()).map((key) => key.kid);
        expect(published.sort()).toEqual([kid, kidOf(before)].sort());
      }
      expect([second, await other.believes(again)]).toEqual([second, second < LIFE + 60]);
      clock.advance(10_000);
      if (second === 20) expect(await rotating).toBe(kid);
    }
    // The private part of the old one is nowhere any more.
    const retired = JSON.parse((await records.get(old, unending))!.toString()) as object;
    expect(retired).not.toHaveProperty('privateKey');
    // Once nothing that the old one signed can be good, it is believed and published no more.
    clock.advance(2 * 3600_000);
    expect((await other.keys.published()).map((key) => key.kid)).toEqual([kid]);
    expect(await other.keys.find(kidOf(before))).toBeUndefined();
  });

  test('are enough: with the store away both roles verify and issue, each its own tokens', async () => {
    const running = replica();
    const tokens = [await running.issue('twinport'), await running.issue('twinport-mirror')];
    records.isBroken = true;
    clock.advance(60_000);
    const [ofPush = '', ofMirror = ''] = tokens;
    expect(await running.believes(ofPush, 'twinport')).toBe(true);
    expect(await running.believes(ofMirror, 'twinport-mirror')).toBe(true);
    expect(await running.believes(ofPush, 'twinport-mirror')).toBe(false);
    expect(await running.believes(ofMirror, 'twinport')).toBe(false);
    expect(await running.believes(await running.issue())).toBe(true);
    await expect(replica().issue()).rejects.toThrow();
  });

  test('are looked for at most every two seconds, whatever ids are made up', async () => {
    const { keys } = replica();
    await keys.signing();
    clock.advance(3_000);
    let lists = 0;
    const list = records.list.bind(records);
    records.list = (...asked) => {
      lists += 1;
      return list(...asked);
    };
    for (let n = 0; n < 100; n += 1) expect(await keys.find(`made-up-${n}`)).toBeUndefined();
    expect(lists).toBe(1);
  });

  test('that cannot be read are a fault, not fewer keys', async () => {
    const token = await replica().issue();
    records.records.set(
      tokenKeyKey(kidOf(token)),
      Buffer.from('{"schemaVersion":1,"publicKey":"x"}'),
    );
    await expect(replica().issue()).rejects.toThrow('cannot be read');
  });

  test('that are distrusted are refused by a process that signs nothing, too', async () => {
    const [one, other] = [replica(), replica()];
    const token = await one.issue();
    expect(await other.believes(token)).toBe(true);
    const kid = await distrustStoredKeys(records, clock, unending);
    clock.advance(15_000);
    expect(await other.believes(token)).toBe(false);
    expect(kidOf(await one.issue())).toBe(kid);
    expect([...records.records.keys()]).toEqual([tokenKeyKey(kid)]);
  });
});
