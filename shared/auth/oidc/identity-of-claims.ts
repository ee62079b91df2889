import type { Identity } from '../identity.ts';

export interface ClaimNames {
  readonly nameClaim: string;
  readonly groupsClaim: string;
  readonly adminGroup: string | undefined;
}

/** Longer lists come from providers that send everything; a token with more is refused by servers on its way anyway. */
const MAX_GROUPS = 1_000;
const MAX_CHARACTERS = 256;

/**
 * Who the claims speak of. Issuer and subject alone make the identity (OpenID Connect Core 5.7): names and addresses
 * change hands. Undefined when the subject is none.
 */
export function identityOfClaims(
  issuer: string,
  claims: Readonly<Record<string, unknown>>,
  { nameClaim, groupsClaim, adminGroup }: ClaimNames,
): Identity | undefined {
  const subject = claims['sub'];
  if (!isPlain(subject)) return undefined;
  const name = claims[nameClaim];
  const groups = groupNames(claims[groupsClaim]);
  return {
    kind: 'user',
    id: `oidc:${issuer}#${subject}`,
    name: isPlain(name) ? name.toLowerCase() : subject,
    groups: groups.map((group) => `oidc:${group}`),
    isAdmin: adminGroup !== undefined && groups.includes(adminGroup),
  };
}

/** A list of names, or a single one; Keycloak writes groups as paths, `/developers`. */
function groupNames(claim: unknown): string[] {
  const all: unknown[] = Array.isArray(claim) ? claim : [claim];
  const names = all.filter(isPlain).map((group) => group.replace(/^\/(?=[^/]+$)/, ''));
  return [...new Set(names)].slice(0, MAX_GROUPS);
}

const isPlain = (value: unknown): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  value.length <= MAX_CHARACTERS &&
  !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value);
