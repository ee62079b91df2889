import { z } from 'zod';

import type { Identity } from '../../auth/identity.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { CliPasswordRecord, CliPasswords } from '../../management/cli-passwords.ts';
import type { PasswordChange } from '../../management/password-change.ts';
import { registryError } from '../../oci/errors.ts';
import { type Caller, identityOf } from '../caller.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';

const DAY_MS = 86_400_000;
/** How long passwords for the command line are good for, unless it is said, and at most. */
const DEFAULT_DAYS = 90;
const MAX_DAYS = 365;

export const ACCOUNT = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(['user', 'robot']),
  groups: z.array(z.string()),
  isAdmin: z.boolean(),
});
/** What a password for the command line is made of. */
export const NEW_CLI_PASSWORD = z.object({
  label: z.string().trim().min(1).max(100),
  days: z.coerce.number().int().min(1).max(MAX_DAYS).default(DEFAULT_DAYS),
});
const CLI_PASSWORD = z.object({
  id: z.string(),
  label: z.string(),
  createdAt: z.string(),
  expiresAt: z.string(),
  /** To the hour; absent: never. */
  lastUsedAt: z.string().exactOptional(),
});

export interface AccountEndpointsDependencies {
  readonly clock: Clock;
  /** Undefined: there are none here. */
  readonly cliPasswords: CliPasswords | undefined;
  /** Undefined: no passwords of people are kept here. */
  readonly passwordChange: PasswordChange | undefined;
}

export const describedAccount = ({ id, name, kind, groups, isAdmin }: Identity): object => ({
  ...{ id, name, kind, isAdmin },
  groups: [...groups],
});

/** `/api/v1/account`: who the caller is, and what is his. */
export function accountEndpoints(deps: AccountEndpointsDependencies): Endpoint[] {
  const { cliPasswords, passwordChange } = deps;
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/account',
      id: 'getAccount',
      summary: 'Who the caller is',
      access: 'signed-in',
      reply: ACCOUNT,
      status: 200,
      answer: ({ caller }) => Promise.resolve({ value: describedAccount(requireSomebody(caller)) }),
    }),
    ...(passwordChange ? [changePassword(passwordChange)] : []),
    ...(cliPasswords ? cliPasswordEndpoints(cliPasswords, deps.clock) : []),
  ];
}

const changePassword = (passwordChange: PasswordChange): Endpoint =>
  endpoint({
    method: 'POST',
    path: '/api/v1/account/password',
    id: 'changePassword',
    summary: 'Change the password of a user, who proves by the old one who he is',
    access: 'open',
    body: z.object({
      username: z.string().max(256),
      password: z.string().max(1024),
      newPassword: z.string().max(1024),
    }),
    status: 204,
    audit: { action: 'change-right', about: () => ({ subject: 'own password' }) },
    answer: async ({ body, origin, signal }) => ({
      actor: await passwordChange.change(body, body.newPassword, origin, signal),
    }),
  });

function cliPasswordEndpoints(passwords: CliPasswords, clock: Clock): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/account/cli-passwords',
      id: 'listCliPasswords',
      summary: "The caller's passwords for the command line, the oldest first",
      access: 'person',
      reply: z.object({ cliPasswords: z.array(CLI_PASSWORD) }),
      status: 200,
      answer: async ({ caller, signal }) => {
        const all = await passwords.list(requireSomebody(caller).id, signal);
        const shown = await Promise.all(
          all.map((record) => describedCliPassword(passwords, record, signal)),
        );
        return { value: { cliPasswords: shown } };
      },
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/account/cli-passwords',
      id: 'makeCliPassword',
      summary: 'Make a password for the command line; it is shown this once',
      access: 'person',
      body: NEW_CLI_PASSWORD,
      reply: CLI_PASSWORD.extend({ username: z.string(), secret: z.string() }),
      status: 201,
      audit: {
        action: 'make-secret',
        about: () => ({ subject: 'password for the command line' }),
      },
      answer: async ({ caller, body, signal }) => {
        const owner = requireSomebody(caller);
        const { secret, record } = await makeCliPassword(passwords, clock, owner, body, signal);
        const shown = await describedCliPassword(passwords, record, signal);
        return { value: { ...shown, username: owner.name, secret } };
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/api/v1/account/cli-passwords/{id}',
      id: 'revokeCliPassword',
      summary: 'Revoke a password for the command line',
      access: 'person',
      status: 204,
      audit: {
        action: 'revoke-secret',
        about: ({ parameters }) => ({ subject: parameters.id }),
      },
      answer: async ({ caller, parameters, signal }) => {
        const { id } = requireSomebody(caller);
        if (await passwords.revoke(id, parameters.id, signal)) return {};
        throw registryError('NAME_UNKNOWN', { message: 'you have no such password' });
      },
    }),
  ];
}

/** Good for so many days from now. */
export const makeCliPassword = (
  passwords: CliPasswords,
  clock: Clock,
  owner: Identity,
  { label, days }: z.output<typeof NEW_CLI_PASSWORD>,
  signal: AbortSignal,
): ReturnType<CliPasswords['make']> =>
  passwords.make(
    owner,
    { label, expiresAt: new Date(clock.now().getTime() + days * DAY_MS) },
    signal,
  );

async function describedCliPassword(
  passwords: CliPasswords,
  record: CliPasswordRecord,
  signal: AbortSignal,
): Promise<object> {
  const { id, label, createdAt, expiresAt } = record;
  const lastUse = await passwords.lastUse(record, signal);
  return {
    ...{ id, label, createdAt, expiresAt },
    ...(lastUse && { lastUsedAt: lastUse.toISOString() }),
  };
}

export function requireSomebody(caller: Caller): Identity {
  const identity = identityOf(caller);
  if (!identity) throw registryError('UNAUTHORIZED');
  return identity;
}
