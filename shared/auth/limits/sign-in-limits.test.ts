import { beforeEach, describe, expect, test } from '@jest/globals';

import { ProcessHints } from '../../index/store/process-hints.ts';
import { ProcessLeases } from '../../index/store/process-leases.ts';
import { ManualClock } from '../../index/testing/manual-clock.ts';
import type { PasswordVerdict } from '../password-source.ts';
import { ALICE } from '../testing/alice.ts';
import { trySignIn } from '../testing/try-sign-in.ts';
import { SignInLimits } from './sign-in-limits.ts';

const signal = new AbortController().signal;

let clock: ManualClock;
let limits: SignInLimits;
/** How often a password was compared. */
let checks = 0;

function makeLimits(countsUnknown = true): SignInLimits {
  return new SignInLimits({
    hints: new ProcessHints(clock),
    leases: new ProcessLeases(clock),
    clock,
    countsUnknown,
  });
}

beforeEach(() => {
  clock = new ManualClock();
  limits = makeLimits();
  checks = 0;
});

/** The verdict, or how many seconds the client shall wait. */
const attempt = (
  verdict: PasswordVerdict,
  address = '192.0.2.1',
  username = 'alice',
): Promise<PasswordVerdict | number> =>
  trySignIn(limits, { username, address }, () => {
    checks += 1;
    return verdict;
  });

async function failTimes(count: number, address?: string, username?: string): Promise<void> {
  for (let index = 0; index < count; index += 1) await attempt('wrong', address, username);
}

describe('SignInLimits', () => {
  test('five mistakes are free, and every further one doubles the wait, up to a quarter of an hour', async () => {
    await failTimes(5);
    expect(await attempt('wrong')).toBe('wrong');
    const waits: unknown[] = [];
    for (let index = 0; index < 12; index += 1) {
      const wait = await attempt('wrong');
      waits.push(wait);
      clock.advance(Number(wait) * 1_000);
      expect(await attempt('wrong')).toBe('wrong');
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
  });

  test('the right password waits like a wrong one, and no password is compared meanwhile', async () => {
    await failTimes(6);
    const before = checks;
    expect(await attempt(ALICE)).toBe(1);
    expect(checks).toBe(before);
    clock.advance(1_000);
    expect(await attempt(ALICE)).toBe(ALICE);
  });

  test('what is refused for its wait does not make the wait longer', async () => {
    await failTimes(6);
    for (let index = 0; index < 50; index += 1) expect(await attempt('wrong')).toBe(1);
  });

  test('a success forgets the mistakes', async () => {
    await failTimes(5);
    await attempt(ALICE);
    clock.advance(10);
    await failTimes(5);
    expect(await attempt(ALICE)).toBe(ALICE);
  });

  test('the same person signs in from another network all the time', async () => {
    await failTimes(20);
    expect(await attempt(ALICE)).toBeGreaterThan(0);
    expect(await attempt(ALICE, '198.51.100.1')).toBe(ALICE);
  });

  test('addresses of one /64 are one network, other /64 are not', async () => {
    for (let index = 0; index < 6; index += 1) await attempt('wrong', `2001:db8::${index}`);
    expect(await attempt(ALICE, '2001:db8::ffff')).toBe(1);
    expect(await attempt(ALICE, '2001:db8:0:1::1')).toBe(ALICE);
  });

  test('names that nobody has wait as those that somebody has, so that nobody learns which is which', async () => {
    for (let index = 0; index < 6; index += 1) await attempt('unknown', '192.0.2.1', 'nobody');
    expect(await attempt('unknown', '192.0.2.1', 'nobody')).toBe(1);
  });

  test('a mirror does not count the logins of other registries', async () => {
    limits = makeLimits(false);
    for (let index = 0; index < 100; index += 1) {
      expect(await attempt('unknown', '192.0.2.1', 'hub-user')).toBe('unknown');
    }
  });

  test('one network cannot try everybody, yet who has signed in there before still does', async () => {
    await attempt(ALICE);
    for (let index = 0; index < 51; index += 1)
      await attempt('wrong', '192.0.2.1', `user-${index}`);
    expect(await attempt('wrong', '192.0.2.1', 'bob')).toBe(1);
    expect(await attempt(ALICE)).toBe(ALICE);
    expect(await attempt('wrong', '198.51.100.1', 'bob')).toBe('wrong');
  });

  test('guesses from many networks make each other slow and refuse nobody', async () => {
    for (let index = 0; index < 25; index += 1) {
      clock.advance(5_000);
      expect(await attempt('wrong', `192.0.2.${index}`)).toBe('wrong');
    }
    const before = checks;
    const late = attempt(ALICE, '198.51.100.9');
    await settled();
    expect(checks).toBe(before);
    clock.advance(5_000);
    expect(await late).toBe(ALICE);
  });

  test('after the free ones, guesses are made one at a time', async () => {
    await failTimes(6);
    clock.advance(1_000);
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => attempt('wrong')));
    expect(outcomes.filter((outcome) => outcome === 'wrong')).toHaveLength(1);
  });

  test('failures are forgotten when nothing came for a while', async () => {
    await failTimes(6);
    clock.advance(16 * 60_000);
    await failTimes(5);
    expect(await attempt(ALICE)).toBe(ALICE);
  });

  test('what cannot be checked is not counted', async () => {
    for (let index = 0; index < 20; index += 1) {
      const broken = limits.attempt({ username: 'alice', address: '192.0.2.1' }, signal, () =>
        Promise.reject(new Error('down')),
      );
      await expect(broken).rejects.toThrow('down');
    }
    expect(await attempt(ALICE)).toBe(ALICE);
  });
});

/** Everything that needs no time has happened. */
async function settled(): Promise<void> {
  for (let index = 0; index < 50; index += 1) await Promise.resolve();
}
