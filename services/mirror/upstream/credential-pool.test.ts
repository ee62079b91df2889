import { beforeEach, describe, expect, test } from '@jest/globals';

import { ProcessHints } from '../../../shared/index/store/process-hints.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import type { QuotaObservation } from '../../../shared/observability/observer.ts';
import { parseRepositoryName, parseTag } from '../../../shared/oci/reference.ts';
import { ANONYMOUS, CredentialBudget, withBudget } from './credential-budget.ts';
import { type PoolMember, withCredentials } from './credential-pool.ts';
import {
  type Failure,
  found,
  limitedFor,
  NOT_FOUND,
  type Outcome,
  unavailable,
} from './outcome.ts';
import { routedUpstream, type Upstream } from './routed-upstream.ts';

const REPOSITORY = parseRepositoryName('library/hello')!;
const REFERENCE = { kind: 'tag', tag: parseTag('1')! } as const;
const DENIED = { kind: 'denied', isRegistryAnswer: true } as const;
const signal = new AbortController().signal;

let clock: ManualClock;
let hints: ProcessHints;
let asked: string[];
let quotas: QuotaObservation[];
let answers: Map<string, Failure>;
let refused: string[];

beforeEach(() => {
  clock = new ManualClock();
  hints = new ProcessHints(clock);
  asked = [];
  quotas = [];
  answers = new Map();
  refused = [];
});

/** A client of which only the outcome matters. */
function client(name: string): Upstream {
  const answer = (): Outcome<never> => answers.get(name) ?? (found(name) as Outcome<never>);
  return routedUpstream(({ isPull }) => {
    asked.push(isPull ? name : `${name} free`);
    return Promise.resolve(answer());
  });
}

function budgetOf(credential: string): CredentialBudget {
  const observer = { quota: (quota: QuotaObservation) => void quotas.push(quota) };
  return new CredentialBudget({ project: 'mirror', credential, clock, hints, observer });
}

function member(credential: string, remaining?: number): PoolMember {
  const budget = budgetOf(credential);
  if (remaining !== undefined) note(budget, remaining);
  return { client: withBudget(client(credential), budget), budget };
}

const note = (budget: CredentialBudget, remaining: number, source = '192.0.2.7'): void =>
  budget.note({ limit: 100, remaining, windowSeconds: 21_600, source });

function pool(...accounts: PoolMember[]): Upstream {
  return withCredentials({
    accounts,
    anonymous: member(ANONYMOUS),
    onAccount: (credential, isRefused) => {
      if (isRefused) refused.push(credential);
    },
  });
}

const pull = (upstream: Upstream): Promise<Outcome<unknown>> =>
  upstream.getManifest(REPOSITORY, REFERENCE, signal);

describe('several credentials', () => {
  test('are used in turn, the one with most left first', async () => {
    const upstream = pool(member('a', 20), member('b', 90), member('c', 55));
    expect((await pull(upstream)).kind).toBe('found');
    expect(asked).toEqual(['b']);
  });

  test('of about the same budget are used as configured, and an unlimited one before all', async () => {
    await pull(pool(member('a', 71), member('b', 78)));
    await pull(pool(member('c', 100), member('d')));
    expect(asked).toEqual(['a', 'd']);
  });

  test('a limited one makes way for the next, and is left alone until it may be asked again', async () => {
    const upstream = pool(member('a'), member('b'));
    answers.set('a', limitedFor(60));
    expect((await pull(upstream)).kind).toBe('found');
    expect((await pull(upstream)).kind).toBe('found');
    expect(asked).toEqual(['a', 'b', 'b']);
    answers.clear();
    clock.advance(60_000);
    await pull(upstream);
    expect(asked).toEqual(['a', 'b', 'b', 'a']);
  });

  test('all limited: anybody is asked, and else the shortest wait is told', async () => {
    const upstream = pool(member('a'), member('b'));
    answers.set('a', limitedFor(60));
    answers.set('b', limitedFor(40));
    expect((await pull(upstream)).kind).toBe('found');
    answers.set(ANONYMOUS, limitedFor(50));
    expect(await pull(upstream)).toMatchObject({ kind: 'limited', retryAfterSeconds: 40 });
    asked.length = 0;
    expect(await pull(upstream)).toMatchObject({ kind: 'limited', retryAfterSeconds: 40 });
    expect(asked).toEqual([]);
  });

  test('a refused one is told of, and the next is asked', async () => {
    answers.set('a', DENIED);
    expect((await pull(pool(member('a'), member('b')))).kind).toBe('found');
    expect([asked, refused]).toEqual([['a', 'b'], ['a']]);
  });

  test('a denial to anybody is no denial while an account is only limited', async () => {
    answers.set('a', limitedFor(60));
    answers.set(ANONYMOUS, DENIED);
    expect((await pull(pool(member('a')))).kind).toBe('limited');
  });

  test.each([NOT_FOUND, unavailable('timeout', 'late')])(
    'an answer that is about the upstream ends it: %j',
    async (outcome) => {
      answers.set('a', outcome);
      expect(await pull(pool(member('a'), member('b')))).toEqual(outcome);
      expect(asked).toEqual(['a']);
    },
  );
});

describe('a budget', () => {
  test('that is used up ends pulls, and nothing else', async () => {
    const { client: upstream } = member('a');
    answers.set('a', { ...limitedFor(60), isPullLimit: true });
    await pull(upstream);
    answers.clear();
    expect((await pull(upstream)).kind).toBe('limited');
    expect((await upstream.headManifest(REPOSITORY, REFERENCE, signal)).kind).toBe('found');
    expect(asked).toEqual(['a', 'a free']);
  });

  test('without a word on when to come again is tried after half a minute, doubled each time', async () => {
    const { client: upstream, budget } = member('a');
    answers.set('a', limitedFor(undefined));
    const waits: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      await pull(upstream);
      waits.push(budget.waitSeconds(true));
      clock.advance(budget.waitSeconds(true) * 1000);
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 900, 900]);
    answers.clear();
    await pull(upstream);
    answers.set('a', limitedFor(undefined));
    await pull(upstream);
    expect(budget.waitSeconds(true)).toBe(30);
  });

  test('is known to the other processes, and forgotten with its window', async () => {
    const ours = budgetOf('account-1');
    const theirs = budgetOf('account-1');
    note(ours, 25);
    await theirs.refresh();
    expect(theirs.remainingShare).toBe(0.25);
    expect(theirs.remaining).toBe(25);
    clock.advance(21_600_000);
    expect(theirs.remainingShare).toBeUndefined();
    expect(theirs.remaining).toBe(Infinity);
  });

  test('of an account that is limited is left alone by the other processes too', async () => {
    const ours = budgetOf('account-1');
    const theirs = budgetOf('account-1');
    ours.settle(limitedFor(60));
    await theirs.refresh();
    expect(theirs.waitSeconds(false)).toBe(60);
    clock.advance(60_000);
    expect(theirs.waitSeconds(false)).toBe(0);
  });

  test('of anybody is shared with those alone who come from the same address', async () => {
    const [ours, neighbour, stranger] = [ANONYMOUS, ANONYMOUS, ANONYMOUS].map(budgetOf);
    note(neighbour!, 90);
    note(stranger!, 90, '198.51.100.1');
    clock.advance(1_000);
    note(ours!, 10);
    await neighbour!.refresh();
    await stranger!.refresh();
    expect(neighbour!.remaining).toBe(10);
    expect(stranger!.remaining).toBe(90);
  });

  test('is told to the metrics by the name of its credential', () => {
    note(budgetOf('account-1'), 42);
    expect(quotas).toEqual([
      { upstream: 'mirror', credential: 'account-1', limit: 100, remaining: 42, limitedUntilMs: 0 },
    ]);
  });

  test('holds through hints that fail, and a clock that is set back', async () => {
    const broken = {
      get: () => Promise.reject(new Error('gone')),
      put: () => Promise.reject(new Error('gone')),
    };
    const observer = { quota: () => undefined };
    const budget = new CredentialBudget({
      project: 'mirror',
      credential: 'account-1',
      clock,
      hints: broken,
      observer,
    });
    budget.settle(limitedFor(60));
    await budget.refresh();
    expect(budget.waitSeconds(true)).toBe(60);
    clock.advance(-3_600_000);
    expect(budget.waitSeconds(true)).toBe(0);
  });
});
