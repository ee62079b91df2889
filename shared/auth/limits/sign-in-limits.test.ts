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

function makeLimits(shared = new ProcessHints(clock), isTolerant = false): SignInLimits {
  return new SignInLimits({
    hints: shared,
    leases: new ProcessLeases(clock),
    clock,
    isTolerant,
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

  test('logins that docker sends along hold up nobody who signs in, whatever is wrong with them', async () => {
    const hints = new ProcessHints(clock);
    limits = makeLimits(hints, true);
    for (let index = 0; index < 100; index += 1) {
      // One that is refused is taken for nobody's, and not held back: everybody gets what it asks for.
      await attempt(index % 2 === 0 ? 'wrong' : 'unknown', `192.0.2.${index % 3}`);
    }
    expect(checks).toBeLessThan(30);
    limits = makeLimits(hints);
    expect(await attempt('wrong', '192.0.2.1')).toBe('wrong');
    expect(await attempt(ALICE, '192.0.2.1')).toBe(ALICE);
  });

  test('guesses that come together are no more than those that come one by one', async () => {
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => attempt('wrong')));
    expect(checks).toBe(6);
    expect(outcomes.filter((outcome) => outcome === 1)).toHaveLength(94);
    expect(await attempt(ALICE, '198.51.100.1')).toBe(ALICE);
  });

  test('many names guessed together from one network are few more than those that are free', async () => {
    const pending: (() => void)[] = [];
    const guess = (name: string): Promise<unknown> =>
      limits
        .attempt({ username: name, address: '192.0.2.1' }, signal, async () => {
          checks += 1;
          await new Promise<void>((resolve) => void pending.push(resolve));
          return 'wrong';
        })
        .catch((error: unknown) => error);
    const all = Array.from({ length: 200 }, (_, index) => guess(`user-${index}`));
    const answered = Promise.all(all);
    for (;;) {
      await settled();
      const next = pending.splice(0);
      if (next.length === 0) break;
      for (const end of next) end();
    }
    await answered;
    expect(checks).toBeGreaterThanOrEqual(50);
    expect(checks).toBeLessThanOrEqual(50 + 32);
  });

  test('a hundred machines behind one address sign in together', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, index) => attempt(ALICE, '192.0.2.1', `ci-${index}`)),
    );
    expect(outcomes.every((outcome) => outcome === ALICE)).toBe(true);
    expect(await Promise.all(Array.from({ length: 100 }, () => attempt(ALICE)))).toEqual(
      Array.from({ length: 100 }, () => ALICE),
    );
  });

  test('a guess counts although whoever made it has left meanwhile', async () => {
    for (let index = 0; index < 6; index += 1) {
      const leaving = new AbortController();
      const guessed = limits.attempt(
        { username: 'alice', address: '192.0.2.1' },
        leaving.signal,
        () => {
          leaving.abort();
          return Promise.resolve('wrong');
        },
      );
      await Promise.allSettled([guessed]);
    }
    expect(await attempt(ALICE)).toBe(1);
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
  for (let index = 0; index < 2_000; index += 1) await Promise.resolve();
}
