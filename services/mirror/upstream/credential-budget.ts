import { z } from 'zod';

import type { SharedHints } from '../../../shared/index/ports.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { Observer } from '../../../shared/observability/observer.ts';
import type { Failure, Outcome } from './outcome.ts';
import type { Quota } from './quota.ts';
import { routedUpstream, type Upstream } from './routed-upstream.ts';

/** Without a word of the upstream on when to come again: doubled with each limit in a row. */
const FIRST_PAUSE_SECONDS = 30;
const MAX_PAUSE_SECONDS = 15 * 60;
/** How old this process's knowledge of what the others saw may be. */
const REFRESH_MS = 5_000;
/** How often it tells them of its own, unless it was limited. */
const SHARE_MS = 1_000;
const MAX_HINT_MS = 24 * 60 * 60 * 1000;

/** The name of asking without any credential. */
export const ANONYMOUS = 'anonymous';

type Limited = Extract<Failure, { kind: 'limited' }>;

/** Points in time are Unix milliseconds: they are shared among processes. */
const budgetSchema = z.object({
  limit: z.number().nonnegative().exactOptional(),
  remaining: z.number().nonnegative().exactOptional(),
  /** When `remaining` was said, and until when it means anything. */
  seenAtMs: z.number().exactOptional(),
  knownUntilMs: z.number().exactOptional(),
  /** Nothing is asked before. */
  limitedUntilMs: z.number().exactOptional(),
  /** No manifest is pulled before. */
  pullsLimitedUntilMs: z.number().exactOptional(),
});
type Budget = z.infer<typeof budgetSchema>;

export interface CredentialBudgetOptions {
  /** Of the upstream. */
  readonly project: string;
  /** Names the credential in metrics and hints; says nothing of it. */
  readonly credential: string;
  readonly clock: Clock;
  readonly hints: SharedHints;
  readonly observer: Pick<Observer, 'quota'>;
}

/**
 * What one credential may still ask of its upstream: the rest of its budget of pulls by the upstream's own word, and
 * until when it is limited. Shared with the other processes as hints; without them each learns for itself.
 */
export class CredentialBudget {
  readonly #options: CredentialBudgetOptions;
  #budget: Budget = {};
  #source: string | undefined;
  #limitsInARow = 0;
  #refreshedAtMs = -Infinity;
  #sharedAtMs = -Infinity;

  constructor(options: CredentialBudgetOptions) {
    this.#options = options;
  }

  get credential(): string {
    return this.#options.credential;
  }

  /** 0 … 1 of the pulls that are left; undefined: unlimited, or not known. */
  get remainingShare(): number | undefined {
    const { limit, remaining, knownUntilMs = 0, pullsLimitedUntilMs = 0 } = this.#budget;
    const nowMs = this.#nowMs();
    if (nowMs < pullsLimitedUntilMs) return 0;
    if (limit === undefined || remaining === undefined || nowMs >= knownUntilMs) return undefined;
    return limit === 0 ? 0 : remaining / limit;
  }

  /** Pulls that are left; without a limit Infinity. */
  get remaining(): number {
    return this.remainingShare === undefined ? Infinity : (this.#budget.remaining ?? 0);
  }

  /** How long nothing of the kind should be asked; 0 when it may be. */
  waitSeconds(isPull: boolean): number {
    const { limitedUntilMs = 0, pullsLimitedUntilMs = 0 } = this.#budget;
    const untilMs = isPull ? Math.max(limitedUntilMs, pullsLimitedUntilMs) : limitedUntilMs;
    const seconds = Math.max(Math.ceil((untilMs - this.#nowMs()) / 1000), 0);
    // Longer than any limit here lasts: the clock was set back.
    return seconds <= MAX_PAUSE_SECONDS ? seconds : 0;
  }

  /** The upstream's own word, from the headers of any answer. */
  note(quota: Quota): void {
    const nowMs = this.#nowMs();
    this.#source = quota.source;
    this.#budget = {
      ...this.#budget,
      limit: quota.limit,
      remaining: quota.remaining,
      seenAtMs: nowMs,
      knownUntilMs: nowMs + quota.windowSeconds * 1000,
    };
    this.#observe();
    if (nowMs - this.#sharedAtMs >= SHARE_MS) this.#share();
  }

  /** What came of a question; a limit keeps the next ones from being asked. */
  settle(outcome: Outcome<unknown>): void {
    if (outcome.kind === 'limited') this.#limit(outcome);
    else if (outcome.kind !== 'unavailable') this.#limitsInARow = 0;
  }

  /** Takes over what the other processes saw, where it is newer. Never rejects. */
  async refresh(): Promise<void> {
    const nowMs = this.#nowMs();
    if (Math.abs(nowMs - this.#refreshedAtMs) < REFRESH_MS) return;
    this.#refreshedAtMs = nowMs;
    const name = this.#hintName();
    if (name === undefined) return;
    const hint = await this.#options.hints.get(name).catch(() => undefined);
    const theirs = hint === undefined ? undefined : parseBudget(hint);
    if (!theirs) return;
    const isNewer = (theirs.seenAtMs ?? 0) > (this.#budget.seenAtMs ?? 0);
    const latest = isNewer ? theirs : this.#budget;
    this.#budget = {
      ...latest,
      ...later('limitedUntilMs', this.#budget, theirs),
      ...later('pullsLimitedUntilMs', this.#budget, theirs),
    };
    if (isNewer) this.#observe();
  }

  #limit({ retryAfterSeconds, isGuess, isPullLimit }: Limited): void {
    const guessed = Math.min(FIRST_PAUSE_SECONDS * 2 ** this.#limitsInARow, MAX_PAUSE_SECONDS);
    this.#limitsInARow = Math.min(this.#limitsInARow + 1, 10);
    const untilMs = this.#nowMs() + (isGuess === true ? guessed : retryAfterSeconds) * 1000;
    const which = isPullLimit === true ? 'pullsLimitedUntilMs' : 'limitedUntilMs';
    this.#budget = { ...this.#budget, [which]: untilMs };
    this.#observe();
    this.#share();
  }

  #share(): void {
    const name = this.#hintName();
    if (name === undefined) return;
    const nowMs = this.#nowMs();
    this.#sharedAtMs = nowMs;
    const { knownUntilMs = 0, limitedUntilMs = 0, pullsLimitedUntilMs = 0 } = this.#budget;
    const untilMs = Math.max(knownUntilMs, limitedUntilMs, pullsLimitedUntilMs);
    const lifeMs = Math.min(untilMs - nowMs, MAX_HINT_MS);
    const value = JSON.stringify(this.#budget);
    this.#options.hints.put(name, value, lifeMs).catch(() => undefined);
  }

  #observe(): void {
    const { project, credential, observer } = this.#options;
    const { limit, remaining, limitedUntilMs = 0, pullsLimitedUntilMs = 0 } = this.#budget;
    observer.quota({
      upstream: project,
      credential,
      limit,
      remaining,
      limitedUntilMs: Math.max(limitedUntilMs, pullsLimitedUntilMs),
    });
  }

  /**
   * An account has one budget wherever it is used. Who asks as anybody shares one with those behind the same address:
   * undefined as long as the upstream has not told it.
   */
  #hintName(): string | undefined {
    const { project, credential } = this.#options;
    const name = `budget:${project}:${credential}`;
    if (credential !== ANONYMOUS) return name;
    return this.#source === undefined ? undefined : `${name}:${this.#source}`;
  }

  #nowMs(): number {
    return this.#options.clock.now().getTime();
  }
}

/** The client, asked as long as its budget has room; every limit that it meets is noted. */
export function withBudget(client: Upstream, budget: CredentialBudget): Upstream {
  return routedUpstream(async ({ isPull }, ask) => {
    await budget.refresh();
    const retryAfterSeconds = budget.waitSeconds(isPull);
    if (retryAfterSeconds > 0) return { kind: 'limited', retryAfterSeconds };
    const outcome = await ask(client);
    budget.settle(outcome);
    return outcome;
  });
}

function later(
  which: 'limitedUntilMs' | 'pullsLimitedUntilMs',
  ours: Budget,
  theirs: Budget,
): Budget {
  const untilMs = Math.max(ours[which] ?? 0, theirs[which] ?? 0);
  return untilMs > 0 ? { [which]: untilMs } : {};
}

function parseBudget(hint: string): Budget | undefined {
  try {
    return budgetSchema.safeParse(JSON.parse(hint)).data;
  } catch {
    return undefined;
  }
}
