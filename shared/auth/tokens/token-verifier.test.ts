import { expect, test } from '@jest/globals';

import { ManualClock } from '../../index/testing/manual-clock.ts';
import type { BearerPrincipal } from './claims.ts';
import { RememberedTokens } from './token-verifier.ts';

test('a token is verified once a minute, so that it does not outlive its key by more', async () => {
  const clock = new ManualClock();
  const expiresAt = clock.now().getTime() / 1_000 + 3_600;
  let verified: BearerPrincipal | undefined = {
    kind: 'bearer',
    subject: 'alice',
    grants: [],
    expiresAt,
  };
  let asked = 0;
  const tokens = new RememberedTokens(
    {
      verify: () => {
        asked += 1;
        return Promise.resolve(verified);
      },
    },
    clock,
  );
  for (let request = 0; request < 100; request += 1) {
    expect(await tokens.verify('token')).toBe(verified);
  }
  expect(asked).toBe(1);
  verified = undefined;
  clock.advance(60_000);
  expect(await tokens.verify('token')).toBeUndefined();
});

test('a token is not remembered beyond its end', async () => {
  const clock = new ManualClock();
  const principal = { kind: 'bearer', subject: 'alice', grants: [] } as const;
  const expiresAt = clock.now().getTime() / 1_000 + 10;
  let asked = 0;
  const tokens = new RememberedTokens(
    {
      verify: () => {
        asked += 1;
        return Promise.resolve(asked === 1 ? { ...principal, expiresAt } : undefined);
      },
    },
    clock,
  );
  expect(await tokens.verify('token')).toBeDefined();
  clock.advance(10_000);
  expect(await tokens.verify('token')).toBeUndefined();
});
