import { describe, expect, test } from '@jest/globals';

import { type Digest, digestOf } from '../../../shared/oci/digest.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import { CacheLedger } from './cache-ledger.ts';
import type { CachedUnit, Holdings } from './cache-survey.ts';
import { type CacheBudget, planEviction } from './eviction-plan.ts';

const named = (name: string): Digest => digestOf(Buffer.from(name));

/** An image of one manifest of a byte and layers by name; every layer has 100 bytes. */
function image(
  reference: string,
  minute: number,
  layers: readonly string[],
  isPinned = false,
): CachedUnit {
  const [repository = ''] = reference.split(':');
  const digest = named(reference);
  return {
    kind: 'image',
    repository: repository as RepositoryName,
    digest,
    tags: [],
    lastUsed: new Date(minute * 60_000),
    isPinned,
    needs: [digest, ...layers.map(named)],
  };
}

function holdingsOf(units: readonly CachedUnit[], pushed: readonly string[]): Holdings {
  const links: Record<string, { repository: RepositoryName; kind: 'blob'; digest: Digest }[]> = {};
  const sizes = new Map<Digest, number>();
  for (const { repository, digest, needs } of units) {
    for (const needed of needs) {
      (links[repository] ??= []).push({ repository, kind: 'blob', digest: needed });
      sizes.set(needed, needed === digest ? 1 : 100);
    }
  }
  return {
    links: new Map(Object.entries(links) as [RepositoryName, (typeof links)[string]][]),
    sizes,
    pushed: new Set(pushed.map(named)),
  };
}

function plan(
  units: readonly CachedUnit[],
  budgets: readonly CacheBudget[],
  options: { readonly pushed?: readonly string[]; readonly usedBeforeMinute?: number } = {},
) {
  const ledger = new CacheLedger(holdingsOf(units, options.pushed ?? []), units);
  const planned = planEviction(units, ledger, {
    budgets,
    highPercent: 100,
    lowPercent: 50,
    usedBefore: new Date((options.usedBeforeMinute ?? 1000) * 60_000),
  });
  const gone = planned.units.map((unit) => units.indexOf(unit));
  return { gone, left: ledger.bytes(), unmet: planned.unmet };
}

const inAll = (maxBytes: number): CacheBudget => ({ project: undefined, maxBytes });

describe('which cached images are evicted', () => {
  const units = [
    image('mirror/a:1', 30, ['base', 'a1']),
    image('mirror/a:2', 10, ['base', 'a2']),
    image('mirror/b:1', 20, ['base', 'b1']),
    image('ghcr/c:1', 5, ['c1']),
  ];

  test('none while the budget is kept; a layer of several images counts once', () => {
    expect(plan(units, [inAll(504)])).toEqual({ gone: [], left: 504, unmet: [] });
  });

  test('the longest unused, until no more is held than the lower mark', () => {
    expect(plan(units, [inAll(500)])).toEqual({ gone: [3, 1, 2], left: 201, unmet: [] });
  });

  test('those of an upstream whose own budget is exceeded', () => {
    const budget = { project: 'mirror', maxBytes: 400 };
    expect(plan(units, [budget])).toMatchObject({ gone: [1, 2, 0], left: 101 });
  });

  test('not those that are pinned or were used lately, and it is told by how much that fails', () => {
    const some = [image('mirror/a:1', 1, ['a1'], true), image('mirror/b:1', 50, ['b1'])];
    expect(plan(some, [inAll(200)], { usedBeforeMinute: 40 })).toEqual({
      gone: [],
      left: 202,
      unmet: [{ budget: inAll(200), overBytes: 102 }],
    });
  });

  test('what a pushed repository links too costs the cache nothing', () => {
    expect(plan(units, [inAll(410)], { pushed: ['base'] })).toMatchObject({ gone: [], left: 404 });
  });

  test('ties go by name, so that a dry run tells what the next run does', () => {
    const tied = ['z', 'm', 'a'].map((name) => image(`mirror/${name}:1`, 1, [name]));
    expect(plan(tied, [inAll(302)]).gone).toEqual([2, 1]);
  });
});
