import { isIP } from 'node:net';

import {
  claimName,
  ldapAttribute,
  ldapGroupFilter,
  ldapUrl,
  ldapUserFilter,
  oidcIssuer,
  oidcScopes,
  SIGNATURE_ALGORITHMS,
  signatureAlgorithms,
  workloadIssuers,
} from './identity-source-schemas.ts';
import { list, strictBoolean, text, wholeNumber, word } from './value-schemas.ts';
import type { Variable } from './variable.ts';

/** `address` or `address/bits`. */
function isAddressBlock(entry: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(bits ?? 0) <= (family === 4 ? 32 : 128);
}

/** Who may do what. */
export const AUTH_VARIABLES = {
  AUTH_MODE: {
    reader: 'both',
    description:
      '`none`: everybody may do everything. `htpasswd`: the users of `AUTH_HTPASSWD_FILE` may. `token`: what the projects say. `external`: what the tokens of `AUTH_TOKEN_ISSUER` say ([auth.md](auth.md)).',
    schema: word('none', 'htpasswd', 'token', 'external'),
    fallback: 'none',
  },
  AUTH_HTPASSWD_FILE: {
    reader: 'both',
    description:
      'File of users and bcrypt hashes, as `htpasswd -B` writes it; read again when it changes. With `AUTH_MODE=token` beside the accounts of `twinport user`.',
    schema: text,
  },
  AUTH_ANONYMOUS_PULL: {
    reader: 'both',
    description:
      'With `AUTH_MODE=htpasswd`: whether everybody may pull. Clients are then asked for tokens.',
    schema: strictBoolean,
    fallback: 'false',
  },
  AUTH_PROJECT_CREATION: {
    reader: 'both',
    description:
      'With `AUTH_MODE=token`: who makes a project by pushing to its name, `everyone` who is signed in as a person, or `admins` alone.',
    schema: word('everyone', 'admins'),
    fallback: 'everyone',
  },
  AUTH_PROJECT_VISIBILITY: {
    reader: 'both',
    description:
      'With `AUTH_MODE=token`: whether projects that are made by a push are `private` or `public`.',
    schema: word('private', 'public'),
    fallback: 'private',
  },
  AUTH_TOKEN_KEY_FILE: {
    reader: 'both',
    description:
      'PEM file with the key that signs tokens (elliptic curve P-256), the same for all replicas; further keys in it are believed as well. Read again when it changes.',
    schema: text,
    fallbackNote:
      'one that the first process makes and keeps in the store, for all who can read the store',
  },
  AUTH_TOKEN_REALM: {
    reader: 'both',
    description:
      'URL at which clients get tokens, as they reach this role: `https://registry.example/auth/token`. With `AUTH_MODE=external` that of the issuer.',
    schema: text.regex(
      /^https?:\/\/[^\s"\\]+$/,
      'must be a URL that begins with http:// or https://',
    ),
    fallbackNote: '`/auth/token` of the address that the client has used',
  },
  AUTH_TOKEN_SERVICE: {
    reader: 'both',
    description: 'Whom tokens are for; those of the mirror are for the same with `-mirror`.',
    schema: text,
    fallback: 'twinport',
  },
  AUTH_TOKEN_ISSUER: {
    reader: 'both',
    description:
      'Who issues tokens; the same for all replicas. With `AUTH_MODE=external` as it stands in `iss`.',
    schema: text,
    fallback: 'twinport',
  },
  AUTH_TOKEN_SECONDS: {
    reader: 'both',
    description:
      'Life of a token. Somebody who loses a right keeps it for as long at most, and a minute for clocks that differ.',
    schema: wholeNumber(60, 3600),
    fallback: '300',
  },
  AUTH_REFRESH_SECONDS: {
    reader: 'both',
    description: 'How long a `docker login` is good for.',
    schema: wholeNumber(60, 366 * 24 * 3600),
    fallback: String(30 * 24 * 3600),
  },
  AUTH_EXTERNAL_JWKS: {
    reader: 'both',
    description:
      'With `AUTH_MODE=external`: the keys that sign tokens, a JWKS at a URL or in a file; a file is read at the start.',
    schema: text,
  },
  AUTH_EXTERNAL_CERTIFICATES: {
    reader: 'both',
    description:
      'With `AUTH_MODE=external`: PEM file with certificates or public keys that sign tokens, beside or in place of a JWKS.',
    schema: text,
  },
  AUTH_EXTERNAL_ALGORITHMS: {
    reader: 'both',
    description: 'With `AUTH_MODE=external`: the signatures that tokens may have.',
    schema: signatureAlgorithms,
    fallback: SIGNATURE_ALGORITHMS.join(','),
  },
  AUTH_LDAP_URL: {
    reader: 'both',
    description:
      'With `AUTH_MODE=token`: the directory whose people may sign in, `ldaps://host[:port]`, or `ldap://` with `AUTH_LDAP_START_TLS`.',
    schema: ldapUrl,
  },
  AUTH_LDAP_START_TLS: {
    reader: 'both',
    description: 'Whether a connection to `ldap://` becomes a TLS one before anything is sent.',
    schema: strictBoolean,
    fallback: 'false',
  },
  AUTH_LDAP_CA_FILE: {
    reader: 'both',
    description: "PEM file of the authorities that the directory's certificate may come from.",
    schema: text,
    fallbackNote: 'those of Node',
  },
  AUTH_LDAP_BIND_DN: {
    reader: 'both',
    description: 'The account that searches for people.',
    schema: text,
    fallbackNote: 'searches are anonymous',
  },
  AUTH_LDAP_BIND_PASSWORD: {
    reader: 'both',
    description: 'Its password.',
    schema: text,
    isSecret: true,
  },
  AUTH_LDAP_USER_BASE: {
    reader: 'both',
    description: 'Below which DN people are.',
    schema: text,
  },
  AUTH_LDAP_USER_FILTER: {
    reader: 'both',
    description: 'How somebody is found by the name that he types.',
    schema: ldapUserFilter,
    fallback: '(uid={username})',
  },
  AUTH_LDAP_USER_ATTRIBUTE: {
    reader: 'both',
    description:
      'The attribute that is his name here: `uid`, or `sAMAccountName` of Active Directory.',
    schema: ldapAttribute,
    fallback: 'uid',
  },
  AUTH_LDAP_GROUP_BASE: {
    reader: 'both',
    description: 'Below which DN groups are.',
    schema: text,
    fallbackNote: 'groups do not count',
  },
  AUTH_LDAP_GROUP_FILTER: {
    reader: 'both',
    description: "How somebody's groups are found: `(member={dn})`, or `(memberUid={username})`.",
    schema: ldapGroupFilter,
    fallbackNote: 'by his `memberOf`',
  },
  AUTH_LDAP_GROUP_ATTRIBUTE: {
    reader: 'both',
    description: "The attribute that is a group's name here, where there is a filter.",
    schema: ldapAttribute,
    fallback: 'cn',
  },
  AUTH_LDAP_ADMIN_GROUP: {
    reader: 'both',
    description:
      'The group whose members are administrators: its DN, or the name of one directly below `AUTH_LDAP_GROUP_BASE`.',
    schema: text,
  },
  AUTH_OIDC_ISSUER: {
    reader: 'both',
    description:
      'With `AUTH_MODE=token`: the OpenID Connect provider whose people sign in with a browser, as it writes itself in its tokens. Its client needs `/auth/oidc/callback` of `PUSH_PUBLIC_URL` as redirect address.',
    schema: oidcIssuer,
  },
  AUTH_OIDC_CLIENT_ID: {
    reader: 'both',
    description: 'The client that the provider knows this registry as.',
    schema: text,
  },
  AUTH_OIDC_CLIENT_SECRET: {
    reader: 'both',
    description: 'Its secret; the same for all replicas.',
    schema: text,
    isSecret: true,
  },
  AUTH_OIDC_SCOPES: {
    reader: 'both',
    description:
      'What the provider is asked for beside `openid`, separated by commas or blanks; some tell groups only for a scope `groups`.',
    schema: oidcScopes,
    fallback: 'profile',
  },
  AUTH_OIDC_NAME_CLAIM: {
    reader: 'both',
    description: "The claim that is somebody's user name here; rights never hang on it.",
    schema: claimName,
    fallback: 'preferred_username',
  },
  AUTH_OIDC_GROUPS_CLAIM: {
    reader: 'both',
    description: 'The claim that has his groups.',
    schema: claimName,
    fallback: 'groups',
  },
  AUTH_OIDC_ADMIN_GROUP: {
    reader: 'both',
    description: 'The group whose members are administrators, as it stands in the claim.',
    schema: text,
  },
  AUTH_WORKLOAD_ISSUERS: {
    reader: 'both',
    description:
      'With `AUTH_MODE=token`: whose tokens programs may sign in with, a list in JSON or YAML ([auth-sources.md](auth-sources.md)).',
    schema: workloadIssuers,
    fallback: '[]',
    isSecret: true,
  },
  AUTH_BASIC_REALM: {
    reader: 'both',
    description: 'What clients show when they ask for a user name and a password.',
    schema: text,
    fallback: 'Twinport',
  },
  ALLOW_INSECURE_AUTH: {
    reader: 'both',
    description:
      'Whether passwords are taken over plain HTTP from other machines, where anybody on the way can read them.',
    schema: strictBoolean,
    fallback: 'false',
  },
  TRUSTED_PROXIES: {
    reader: 'both',
    description:
      'Addresses or CIDR blocks of the proxies in front, separated by commas: their `X-Forwarded-For` and `X-Forwarded-Proto` are believed.',
    schema: list(/^.*$/, '').refine((entries) => entries.every(isAddressBlock), {
      error: 'must be a list of addresses or blocks like 10.0.0.0/8, separated by commas',
    }),
  },
} as const satisfies Record<string, Variable>;
