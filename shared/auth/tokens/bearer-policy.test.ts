import { describe, expect, test } from '@jest/globals';

import type { Access, AccessPolicy, Grant } from '../access.ts';
import { ALICE } from '../testing/alice.ts';
import { BearerPolicy } from './bearer-policy.ts';
import type { BearerPrincipal } from './claims.ts';

const { signal } = new AbortController();
const nobody: AccessPolicy = { allows: () => Promise.resolve(false) };
const PUSH: Access = { type: 'repository', name: 'team/app', action: 'push' };

const grant = (projectId?: string): Grant => ({
  type: 'repository',
  name: 'team/app',
  actions: ['pull', 'push'],
  ...(projectId !== undefined && { projectId }),
});
const holder = (granted: Grant, id: string = ALICE.id): BearerPrincipal => ({
  kind: 'bearer',
  subject: 'alice',
  grants: [granted],
  identity: { ...ALICE, id },
});
const isAllowed = (
  principal: BearerPrincipal,
  project: { id?: string; createdBy?: string } | undefined,
): Promise<boolean> =>
  new BearerPolicy(nobody, () => Promise.resolve(project)).allows(principal, PUSH, signal);

describe('a token', () => {
  test('opens the project that it was issued for, and not one that has its name today (T-TK5)', async () => {
    expect(await isAllowed(holder(grant('one')), { id: 'one' })).toBe(true);
    expect(await isAllowed(holder(grant('one')), { id: 'two', createdBy: 'local:alice' })).toBe(
      false,
    );
    expect(await isAllowed(holder(grant('one')), undefined)).toBe(false);
    expect(await isAllowed(holder(grant('one')), {})).toBe(false);
  });

  test('for a name without a project opens what its holder makes there, and nothing of others', async () => {
    expect(await isAllowed(holder(grant()), undefined)).toBe(true);
    expect(await isAllowed(holder(grant()), { id: 'one', createdBy: 'local:alice' })).toBe(true);
    expect(await isAllowed(holder(grant()), { id: 'one', createdBy: 'local:bob' })).toBe(false);
    expect(await isAllowed(holder(grant()), { id: 'one' })).toBe(false);
  });
});
