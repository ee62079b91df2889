import { z } from 'zod';

import type { UserRecord, Users } from '../../management/users.ts';
import { registryError } from '../../oci/errors.ts';
import { type Caller, identityOf } from '../caller.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { NEXT, PAGE_QUERY, visiblePageOf } from '../paging.ts';

const USER = z.object({
  name: z.string(),
  isAdmin: z.boolean(),
  disabled: z.boolean(),
  /** Nothing is open to the user before the password was changed. */
  mustChange: z.boolean(),
  createdAt: z.string(),
});
/** Rules on passwords are in one place, and tell what is wrong. */
const PASSWORD = z.string().max(1024);

export interface UserEndpointsDependencies {
  readonly users: Users;
  /** Called when an account was changed: who was signed in is asked again. */
  readonly onChange: () => void;
}

/** `/api/v1/users`: the people whose passwords this registry keeps, for administrators. */
export const userEndpoints = (deps: UserEndpointsDependencies): Endpoint[] => [
  ...allUsers(deps),
  ...oneUser(deps),
];

function allUsers({ users }: UserEndpointsDependencies): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/users',
      id: 'listUsers',
      summary: 'The users of this registry, by name',
      access: 'admin',
      query: PAGE_QUERY,
      reply: z.object({ users: z.array(USER), next: NEXT }),
      status: 200,
      answer: async ({ query, signal }) => {
        const all = await users.list(signal);
        const { entries, ...rest } = await visiblePageOf(all, ({ name }) => name, query);
        return { value: { users: entries.map(described), ...rest } };
      },
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/users',
      id: 'addUser',
      summary: 'Make a user, who has to change the password first unless mustChange says no',
      access: 'admin',
      body: z.object({
        name: z.string(),
        password: PASSWORD,
        isAdmin: z.boolean().default(false),
        mustChange: z.boolean().default(true),
      }),
      reply: USER,
      status: 201,
      audit: {
        action: 'change-right',
        about: ({ body }) => ({
          subject: `user ${body.name}: made${body.isAdmin ? ', administrator' : ''}`,
        }),
      },
      answer: async ({ body, signal }) => {
        await users.add(body, signal);
        return {
          value: described(await requireUser(users, body.name, signal)),
          headers: { Location: `/api/v1/users/${body.name}` },
        };
      },
    }),
  ];
}

function oneUser({ users, onChange }: UserEndpointsDependencies): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/users/{user}',
      id: 'getUser',
      summary: 'One user',
      access: 'admin',
      reply: USER,
      status: 200,
      answer: async ({ parameters, signal }) => ({
        value: described(await requireUser(users, parameters.user, signal)),
      }),
    }),
    endpoint({
      method: 'PATCH',
      path: '/api/v1/users/{user}',
      id: 'changeUser',
      summary:
        'Lock a user out or make one an administrator, or take that back. Nobody does it to himself',
      access: 'admin',
      body: z.object({
        isAdmin: z.boolean().exactOptional(),
        disabled: z.boolean().exactOptional(),
      }),
      reply: USER,
      status: 200,
      audit: {
        action: 'change-right',
        about: ({ parameters, body }) => ({
          subject: `user ${parameters.user}: ${Object.entries(body)
            .map(([field, value]) => `${field} ${String(value)}`)
            .join(', ')}`,
        }),
      },
      answer: async ({ caller, parameters, body, signal }) => {
        const { user: name } = parameters;
        requireAnother(caller, name);
        await requireUser(users, name, signal);
        if (body.isAdmin !== undefined) await users.setAdmin(name, body.isAdmin, signal);
        if (body.disabled !== undefined) await users.setDisabled(name, body.disabled, signal);
        onChange();
        return { value: described(await requireUser(users, name, signal)) };
      },
    }),
    endpoint({
      method: 'PUT',
      path: '/api/v1/users/{user}/password',
      id: 'setUserPassword',
      summary: 'Give a user another password, who has to change it first unless mustChange says no',
      access: 'admin',
      body: z.object({ password: PASSWORD, mustChange: z.boolean().default(true) }),
      status: 204,
      audit: {
        action: 'change-right',
        about: ({ parameters }) => ({ subject: `user ${parameters.user}: password` }),
      },
      answer: async ({ parameters, body, signal }) => {
        const { password, mustChange } = body;
        await requireUser(users, parameters.user, signal);
        await users.setPassword(parameters.user, password, { mustChange }, signal);
        onChange();
        return {};
      },
    }),
  ];
}

async function requireUser(users: Users, name: string, signal: AbortSignal): Promise<UserRecord> {
  const user = await users.find(name, signal);
  if (user) return user;
  throw registryError('NAME_UNKNOWN', { message: `there is no user ${name.slice(0, 64)}` });
}

/** So that there is always an administrator left. */
function requireAnother(caller: Caller, name: string): void {
  if (identityOf(caller)?.id !== `local:${name}`) return;
  throw registryError('DENIED', { message: 'nobody does this to his own account' });
}

const described = ({
  name,
  isAdmin,
  disabled = false,
  mustChange = false,
  createdAt,
}: UserRecord): object => ({ name, isAdmin, disabled, mustChange, createdAt });
