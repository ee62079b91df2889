import { isIP } from 'node:net';

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
      '`none`: everybody may do everything. `htpasswd`: the users of `AUTH_HTPASSWD_FILE` may ([auth.md](auth.md)).',
    schema: word('none', 'htpasswd'),
    fallback: 'none',
  },
  AUTH_HTPASSWD_FILE: {
    reader: 'both',
    description:
      'File of users and bcrypt hashes, as `htpasswd -B` writes it; read again when it changes.',
    schema: text,
  },
  AUTH_ANONYMOUS_PULL: {
    reader: 'both',
    description:
      'With `AUTH_MODE=htpasswd`: whether everybody may pull. Clients are then asked for tokens.',
    schema: strictBoolean,
    fallback: 'false',
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
      'URL at which clients get tokens, as they reach this role: `https://registry.example/auth/token`.',
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
    description: 'Who issues tokens; the same for all replicas.',
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
