import type { CredentialBudget } from './credential-budget.ts';
import type { Failure, Outcome } from './outcome.ts';
import { routedUpstream, type Upstream } from './routed-upstream.ts';

/** A way to ask an upstream, and what it may still ask. */
export interface PoolMember {
  readonly client: Upstream;
  readonly budget: CredentialBudget;
}

export interface CredentialPoolOptions {
  readonly accounts: readonly PoolMember[];
  /** Asked where no account is of use. */
  readonly anonymous: PoolMember;
  /** Told by each answer whether the account is good. */
  readonly onAccount: (credential: string, isRefused: boolean) => void;
}

/** Budgets count as equal within this share of the larger limit: each switch costs a token. */
const STEPS = 10;

/**
 * Asks with the account that has most of its budget left, with the next one where it is limited or refused, and at last
 * as anybody: an account that expired or is used up must not make unreachable what anybody may have.
 */
export function withCredentials(options: CredentialPoolOptions): Upstream {
  const { accounts, anonymous, onAccount } = options;
  return routedUpstream(async (_, ask) => {
    await Promise.all(accounts.map(({ budget }) => budget.refresh()));
    let limited: Extract<Failure, { kind: 'limited' }> | undefined;
    for (const { client, budget } of byRemaining(accounts)) {
      const outcome = await ask(client);
      switch (outcome.kind) {
        case 'found':
          onAccount(budget.credential, false);
          return outcome;
        case 'denied':
          onAccount(budget.credential, true);
          break;
        case 'limited':
          limited = sooner(limited, outcome);
          break;
        case 'not-found':
        case 'blocked':
        case 'unavailable':
          return outcome;
      }
    }
    const outcome = await ask(anonymous.client);
    // A denial as nobody says nothing while an account that may be asked later is only limited.
    if (!limited || outcome.kind === 'found' || outcome.kind === 'not-found') return outcome;
    return outcome.kind === 'limited' ? sooner(limited, outcome) : limited;
  });
}

/** Most of it first; as configured where that is about the same. */
function byRemaining(accounts: readonly PoolMember[]): readonly PoolMember[] {
  const finite = accounts.map(({ budget }) => budget.remaining).filter(Number.isFinite);
  const step = Math.max(...finite, STEPS) / STEPS;
  const rank = ({ budget }: PoolMember): number => Math.ceil(budget.remaining / step);
  return accounts.toSorted((a, b) => {
    const [ofA, ofB] = [rank(a), rank(b)];
    return ofA === ofB ? 0 : ofB - ofA;
  });
}

function sooner(
  a: Extract<Failure, { kind: 'limited' }> | undefined,
  b: Extract<Outcome<never>, { kind: 'limited' }>,
): Extract<Failure, { kind: 'limited' }> {
  return a && a.retryAfterSeconds <= b.retryAfterSeconds ? a : b;
}
