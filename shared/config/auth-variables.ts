import { isIP } from 'node:net';

import { list, strictBoolean, text, word } from './value-schemas.ts';
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
    description: 'With `AUTH_MODE=htpasswd`: whether everybody may pull.',
    schema: strictBoolean,
    fallback: 'false',
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
