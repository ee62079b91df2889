import { z } from 'zod';

import type { Grant, Principal } from '../access.ts';

const seconds = z.number().int().nonnegative();

/** `access` of the reference implementation (distribution, docs/spec/auth/jwt.md). */
const ACCESS = z
  .object({
    type: z.string(),
    name: z.string(),
    actions: z.array(z.string()).max(100).nullable(),
    project: z.string().optional(),
  })
  .transform(({ type, name, actions, project }) => ({
    type,
    name,
    actions: actions ?? [],
    ...(project !== undefined && { projectId: project }),
  }));

export const ACCESS_LIST = z.array(ACCESS).max(1000);

/** What our own tokens say; a token that lacks any of it is none of ours. */
export const OWN_CLAIMS = z.object({
  sub: z.string(),
  exp: seconds,
  nbf: seconds,
  iat: seconds,
  jti: z.string().min(1),
  access: ACCESS_LIST,
  identity: z
    .object({
      kind: z.enum(['user', 'robot']),
      id: z.string(),
      groups: z.array(z.string()),
      isAdmin: z.boolean(),
    })
    .optional(),
});

export type BearerPrincipal = Extract<Principal, { kind: 'bearer' }>;

/** Grants of types that mean something here. */
export const grantsOf = (access: z.output<typeof ACCESS_LIST>): readonly Grant[] =>
  access.filter((grant): grant is (typeof access)[number] & Grant =>
    ['repository', 'registry'].includes(grant.type),
  );
