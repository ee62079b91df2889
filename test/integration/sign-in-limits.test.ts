import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { SignInLimits } from '../../shared/auth/limits/sign-in-limits.ts';
import type { PasswordVerdict } from '../../shared/auth/password-source.ts';
import { ALICE } from '../../shared/auth/testing/alice.ts';
import { trySignIn } from '../../shared/auth/testing/try-sign-in.ts';
import type { RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { createIndexLab, type IndexLab, PATIENT } from '../support/index-lab.ts';

describeWithTools(['redis-server'], 'failed sign-ins on several replicas', () => {
  let lab: IndexLab;
  beforeEach(async () => {
    lab = await createIndexLab({ timing: PATIENT });
  });
  afterEach(() => lab.close());

  const limitsOf = ({ hints, leases }: RedisIndex): SignInLimits =>
    new SignInLimits({ hints, leases, clock: systemClock });

  const attempt = (
    limits: SignInLimits,
    verdict: PasswordVerdict,
    address = '192.0.2.1',
  ): Promise<PasswordVerdict | number> =>
    trySignIn(limits, { username: 'alice', address }, () => verdict);

  test('count together, and one at a time where many come at once', async () => {
    const [one, other] = [limitsOf(await lab.replica()), limitsOf(await lab.replica())];
    const guesses = await Promise.all(
      Array.from({ length: 6 }, (_, index) => attempt(index % 2 === 0 ? one : other, 'wrong')),
    );
    expect(guesses).toEqual(Array.from({ length: 6 }, () => 'wrong'));
    expect(await attempt(one, ALICE)).toBeGreaterThan(0);
    expect(await attempt(other, ALICE)).toBeGreaterThan(0);
    expect(await attempt(other, ALICE, '198.51.100.7')).toBe(ALICE);
  });

  test('are counted by each replica for itself while Redis is away', async () => {
    const limits = limitsOf(await lab.replica({ url: 'redis://127.0.0.1:1' }));
    for (let guess = 0; guess < 6; guess += 1) expect(await attempt(limits, 'wrong')).toBe('wrong');
    expect(await attempt(limits, ALICE)).toBeGreaterThan(0);
    expect(await attempt(limits, ALICE, '198.51.100.7')).toBe(ALICE);
  });
});
