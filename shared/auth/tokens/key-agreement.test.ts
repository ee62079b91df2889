import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { RecordedEdge } from '../../http/testing/recorded-edge.ts';
import { ManualClock } from '../../index/testing/manual-clock.ts';
import { MemoryRecordStore } from '../../index/testing/memory-record-store.ts';
import { unending } from '../../storage/testing/contract-support.ts';
import { KeyAgreement } from './key-agreement.ts';
import { keyId } from './token-keys.ts';

const makeKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** Signs by the first, believes all. */
const keysOf = (...[first, ...more]: readonly [KeyObject, ...KeyObject[]]) => ({
  signing: () => Promise.resolve({ kid: keyId(first), privateKey: first }),
  find: (kid: string) => {
    const found = [first, ...more].find((key) => keyId(key) === kid);
    return Promise.resolve(found && createPublicKey(found));
  },
});

describe('replicas of one role', () => {
  const [one, other] = [makeKey(), makeKey()];
  let records: MemoryRecordStore;
  let clock: ManualClock;
  beforeEach(() => {
    records = new MemoryRecordStore();
    clock = new ManualClock();
  });
  function replica(keys: ReturnType<typeof keysOf>, { role = 'push', isOwnKey = true } = {}) {
    const edge = new RecordedEdge();
    const { log } = edge;
    return {
      edge,
      agreement: new KeyAgreement({ keys, role, isOwnKey, records, clock, log }),
    };
  }

  test('with different keys say so, until the other has not been seen for minutes (T-SE1)', async () => {
    const [a, b] = [replica(keysOf(one)), replica(keysOf(other))];
    await a.agreement.look(unending);
    expect(a.agreement.isBroken).toBe(false);
    await b.agreement.look(unending);
    await a.agreement.look(unending);
    await a.agreement.look(unending);
    for (const { agreement, edge } of [a, b]) {
      expect(agreement.isBroken).toBe(true);
      expect(edge.lines).toEqual([
        expect.objectContaining({
          level: 'error',
          message: expect.stringContaining('AUTH_TOKEN_KEY_FILE') as unknown,
        }),
      ]);
    }
    clock.advance(5 * 60_000);
    await a.agreement.look(unending);
    expect(a.agreement.isBroken).toBe(false);
  });

  test('that believe the key of the other, whichever they sign by, say nothing', async () => {
    const [a, b] = [replica(keysOf(one, other)), replica(keysOf(other, one))];
    for (const { agreement } of [a, b, a]) await agreement.look(unending);
    expect([a.agreement.isBroken, b.agreement.isBroken]).toEqual([false, false]);
  });

  test('of which one has its key in a file and the other in the store say so', async () => {
    const inFile = replica(keysOf(one));
    const inStore = replica(keysOf(other), { isOwnKey: false });
    await inFile.agreement.look(unending);
    await inStore.agreement.look(unending);
    expect(inStore.agreement.isBroken).toBe(true);
  });

  test('are no concern of those of the other role, which takes none of their tokens', async () => {
    const [a, b] = [replica(keysOf(one)), replica(keysOf(other), { role: 'mirror' })];
    for (const { agreement } of [a, b, a]) await agreement.look(unending);
    expect([a.agreement.isBroken, b.agreement.isBroken]).toEqual([false, false]);
  });
});
