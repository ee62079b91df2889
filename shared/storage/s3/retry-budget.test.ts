import { expect, test } from '@jest/globals';

import { seededRandom } from '../../../test/support/seeded-random.ts';
import { RetryBudget } from './retry-budget.ts';

const transient = { errorType: 'TRANSIENT' } as const;
const slowDown = { errorType: 'THROTTLING' } as const;
/** What the answer to a HEAD says of the same. */
const busy = {
  errorType: 'TRANSIENT',
  error: { name: 'UnknownError', message: '', $metadata: { httpStatusCode: 503 } },
} as const;
const limits = (maxAttempts: number, burst: number, share: number) => ({
  maxAttempts,
  burst,
  share,
});

/** Makes requests whose every try fails with this chance; tells of the requests that failed and all tries after a first. */
async function ask(
  budget: RetryBudget,
  requests: number,
  {
    chance,
    failure,
  }: { chance: number; failure: typeof transient | typeof slowDown | typeof busy },
): Promise<{ failed: number; retries: number; longestMs: number }> {
  const random = seededRandom(7);
  const count = { failed: 0, retries: 0, longestMs: 0 };
  for (let request = 0; request < requests; request += 1) {
    let token = await budget.acquireInitialRetryToken();
    let waitedMs = 0;
    try {
      while (random() < chance) {
        token = await budget.refreshRetryTokenForRetry(token, failure);
        waitedMs += token.getRetryDelay();
        count.retries += 1;
      }
      budget.recordSuccess();
    } catch {
      count.failed += 1;
    }
    count.longestMs = Math.max(count.longestMs, waitedMs);
  }
  return count;
}

test('lets a request be tried so often and no more', async () => {
  const both = limits(3, 100, 0.1);
  for (const failure of [transient, slowDown, busy]) {
    const budget = new RetryBudget({ transient: both, refused: both });
    let token = await budget.acquireInitialRetryToken();
    token = await budget.refreshRetryTokenForRetry(token, failure);
    token = await budget.refreshRetryTokenForRetry(token, failure);
    expect(token.getRetryCount()).toBe(2);
    await expect(budget.refreshRetryTokenForRetry(token, failure)).rejects.toThrow();
  }
});

test('never tries again what the store refused for good', async () => {
  const budget = new RetryBudget();
  const token = await budget.acquireInitialRetryToken();
  for (const errorType of ['CLIENT_ERROR', 'SERVER_ERROR'] as const) {
    await expect(budget.refreshRetryTokenForRetry(token, { errorType })).rejects.toThrow();
  }
});

test.each([
  ['a tenth of the requests where nobody knows why they fail', transient, 0.1],
  ['none where a store refuses all', slowDown, 0],
  ['none where it refuses without a word', busy, 0],
] as const)('allows a burst, and then %s', async (_name, failure, share) => {
  const requests = 1000;
  const { retries } = await ask(new RetryBudget(), requests, { chance: 1, failure });
  expect(retries).toBeGreaterThanOrEqual(requests * share);
  expect(retries).toBeLessThanOrEqual(200 + requests * share + 1);
});

test.each([slowDown, busy])(
  'gets nearly all through a store that refuses 30 % for as long as it likes (%j)',
  async (failure) => {
    const requests = 50_000;
    const outcome = await ask(new RetryBudget(), requests, { chance: 0.3, failure });
    // A push is about twelve requests: less than one in a hundred pushes meets one of these.
    expect(outcome.failed / requests).toBeLessThan(0.01 / 12);
    expect(outcome.retries / requests).toBeLessThan(0.45);
    expect(outcome.longestMs).toBeLessThan(6_100);
  },
);

test('keeps what failed from using up what is for refusals, and the other way round', async () => {
  const budget = new RetryBudget();
  await ask(budget, 1000, { chance: 1, failure: transient });
  const refused = await ask(budget, 1000, { chance: 0.2, failure: slowDown });
  expect(refused.failed).toBeLessThanOrEqual(1);
  await ask(budget, 1000, { chance: 1, failure: slowDown });
  const failed = await ask(budget, 1000, { chance: 0.05, failure: transient });
  expect(failed.failed).toBeLessThanOrEqual(1);
});

test('waits longer from try to try, as long as the store asks, and never very long', async () => {
  const many = limits(12, 1000, 1);
  const budget = new RetryBudget({ transient: many, refused: many });
  for (const [failure, base, most] of [
    [transient, 50, 4_000],
    [slowDown, 100, 1_500],
  ] as const) {
    let token = await budget.acquireInitialRetryToken();
    for (let retry = 1; retry < 12; retry += 1) {
      token = await budget.refreshRetryTokenForRetry(token, failure);
      expect(token.getRetryDelay()).toBeLessThanOrEqual(Math.min(base * 2 ** (retry - 1), most));
    }
  }
  const retryAfterHint = new Date(Date.now() + 60_000);
  const token = await budget.refreshRetryTokenForRetry(await budget.acquireInitialRetryToken(), {
    ...slowDown,
    retryAfterHint,
  });
  expect(token.getRetryDelay()).toBe(4000);
});
