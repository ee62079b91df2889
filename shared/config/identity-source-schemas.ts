/** What variables about sources of identities may hold. Every message completes the sentence "NAME …". */
import { isIP } from 'node:net';

import { parse } from 'yaml';
import { z } from 'zod';

import type { LdapConfig } from '../auth/ldap/ldap-config.ts';
import type { WorkloadIssuer } from '../auth/workload/workload-config.ts';

/** Signatures that whoever can check them cannot make. */
export const SIGNATURE_ALGORITHMS = [
  ...['ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'EdDSA',
] as const;

const LDAP_PORTS = { ldap: 389, ldaps: 636 } as const;

/** `ldap://host[:port]` or `ldaps://host[:port]`. */
export const ldapUrl = z.string().transform((input, context): LdapConfig['url'] => {
  const [, scheme, bracketed, plain, port] =
    /^(ldaps?):\/\/(?:\[([0-9a-f:.]+)\]|([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?))(?::(\d{1,5}))?\/?$/i.exec(
      input,
    ) ?? [];
  const host = bracketed ?? plain;
  const kind = scheme?.toLowerCase();
  if ((kind === 'ldap' || kind === 'ldaps') && host !== undefined && Number(port ?? 1) <= 65_535) {
    if (bracketed === undefined || isIP(bracketed) === 6) {
      return { scheme: kind, host, port: port === undefined ? LDAP_PORTS[kind] : Number(port) };
    }
  }
  context.addIssue('must be ldap:// or ldaps:// with a host, and a port if it is another one');
  return z.NEVER;
});

export const ldapUserFilter = z
  .string()
  .regex(/^\(.*\{username\}.*\)$/, 'must be a filter in parentheses with {username} in it');
export const ldapGroupFilter = z
  .string()
  .regex(
    /^\(.*\{(?:dn|username)\}.*\)$/,
    'must be a filter in parentheses with {dn} or {username}',
  );

export const ldapAttribute = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9.-]*$/, 'must be the name of an attribute');

/** Whether people may be sent there to sign in: nobody on the way reads or changes what is said. */
export const isSafeForSignIn = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' ||
  (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname));

/** As it stands in `iss`: a URL whose path counts. Its word is believed. */
export const oidcIssuer = z.string().refine(
  (input) => {
    const url = URL.parse(input);
    if (url?.username !== '' || url.search !== '' || url.hash !== '') return false;
    return isSafeForSignIn(url);
  },
  { error: 'must be a URL that begins with https:// (http:// for this machine alone)' },
);

/** Scopes beside `openid`, separated by commas or blanks. */
export const oidcScopes = z.string().transform((input, context): readonly string[] => {
  const scopes = input.split(/[,\s]+/).filter((scope) => scope !== '' && scope !== 'openid');
  if (scopes.every((scope) => /^[!#-[\]-~]+$/.test(scope))) return scopes;
  context.addIssue('must be a list of scopes');
  return z.NEVER;
});

export const claimName = z
  .string()
  .regex(/^[\w:/.-]+$/, 'must be the name of a claim, which stands at the top of the token');

const filled = z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' });
const address = filled.regex(/^https?:\/\/[^\s"]+$/, 'must be a URL');
const algorithm = z.enum(SIGNATURE_ALGORITHMS, {
  error: `must be of ${SIGNATURE_ALGORITHMS.join(', ')}`,
});
const group = z.strictObject({
  group: filled.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    'must have letters, digits, ".", "_" and "-"',
  ),
  claim: filled,
  pattern: filled,
});
const issuer = z
  .strictObject({
    issuer: address,
    jwksUri: address.optional(),
    audience: filled,
    algorithms: z.array(algorithm).min(1, { error: 'must not be empty' }).default(['RS256']),
    groups: z.array(group).min(1, { error: 'must not be empty' }),
  })
  .transform(({ jwksUri, ...rest }): WorkloadIssuer => ({ ...rest, jwksUri }));

/** A list of issuers in JSON or YAML. */
export const workloadIssuers = z
  .string()
  .transform((input, context): unknown => {
    try {
      return parse(input);
    } catch {
      context.addIssue('must be a list in JSON or YAML');
      return z.NEVER;
    }
  })
  .transform((entries, context): readonly WorkloadIssuer[] => {
    const read = z.array(issuer, { error: 'must be a list in JSON or YAML' }).safeParse(entries);
    if (!read.success) {
      for (const { code, path, message } of read.error.issues) {
        const at = path.map(String).join('.');
        // The names of settings that are none may be values in the wrong place.
        const what = code === 'unrecognized_keys' ? 'there is a setting that is none' : message;
        context.addIssue(at === '' ? what : `is wrong at ${at}: ${what}`);
      }
      return z.NEVER;
    }
    const names = read.data.map((entry) => entry.issuer);
    if (new Set(names).size === names.length) return read.data;
    context.addIssue('names an issuer twice');
    return z.NEVER;
  });

/** Names of algorithms, separated by commas or blanks. */
export const signatureAlgorithms = z.string().transform((input, context): readonly string[] => {
  const names = input.split(/[,\s]+/).filter((name) => name !== '');
  if (names.length > 0 && names.every((name) => algorithm.safeParse(name).success)) return names;
  context.addIssue(`must be a list of ${SIGNATURE_ALGORITHMS.join(', ')}`);
  return z.NEVER;
});
