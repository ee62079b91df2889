import { expect, test } from '@jest/globals';

import { RetryBudget } from './retry-budget.ts';

const transient = { errorType: 'TRANSIENT' } as const;

test('lets a request be tried so often and no more', async () => {
  const budget = new RetryBudget({ maxAttempts: 3, burst: 100, share: 0.1 });
  let token = await budget.acquireInitialRetryToken();
  token = await budget.refreshRetryTokenForRetry(token, transient);
  token = await budget.refreshRetryTokenForRetry(token, { errorType: 'THROTTLING' });
  expect(token.getRetryCount()).toBe(2);
  await expect(budget.refreshRetryTokenForRetry(token, transient)).rejects.toThrow();
});

test('never tries again what the store refused for good', async () => {
  const budget = new RetryBudget();
  const token = await budget.acquireInitialRetryToken();
  for (const errorType of ['CLIENT_ERROR', 'SERVER_ERROR'] as const) {
    await expect(budget.refreshRetryTokenForRetry(token, { errorType })).rejects.toThrow();
  }
});

test('allows a burst, and then a tenth of the requests to be retried', async () => {
  const burst = 20;
  const budget = new RetryBudget({ maxAttempts: 4, burst, share: 0.1 });
  const requests = 1000;
  let retries = 0;
  for (let request = 0; request < requests; request += 1) {
    let token = await budget.acquireInitialRetryToken();
    try {
      for (;;) {
        token = await budget.refreshRetryTokenForRetry(token, transient);
        retries += 1;
      }
    } catch {
      // No further try.
    }
  }
  expect(retries).toBeGreaterThanOrEqual(requests / 10);
  expect(retries).toBeLessThanOrEqual(burst + requests / 10 + 1);
});

test('waits longer from try to try, as long as the store asks, and never very long', async () => {
  const budget = new RetryBudget({ maxAttempts: 12, burst: 1000, share: 1 });
  let token = await budget.acquireInitialRetryToken();
  for (let retry = 1; retry < 12; retry += 1) {
    token = await budget.refreshRetryTokenForRetry(token, transient);
    expect(token.getRetryDelay()).toBeLessThanOrEqual(Math.min(50 * 2 ** (retry - 1), 4000));
  }
  const retryAfterHint = new Date(Date.now() + 60_000);
  token = await budget.refreshRetryTokenForRetry(await budget.acquireInitialRetryToken(), {
    errorType: 'THROTTLING',
    retryAfterHint,
  });
  expect(token.getRetryDelay()).toBe(4000);
});
