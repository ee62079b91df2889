import type { Credentials } from './password-source.ts';

/** What an `Authorization` header says. `unusable`: there is one, and nobody is signed in by it. */
export type Authorization =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly credentials: Credentials }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'unusable' };

const MAX_BASIC_LENGTH = 8 * 1024;
const MAX_BEARER_LENGTH = 16 * 1024;
const NONE: Authorization = { kind: 'none' };
const UNUSABLE: Authorization = { kind: 'unusable' };

/**
 * Reads one `Authorization` value (RFC 9110, 11.6.2). Basic (RFC 7617): strict base64 of UTF-8 with a colon, no control
 * characters in either half. Bearer (RFC 6750): one token of the characters that it may have. Nothing is repaired.
 */
export function parseAuthorization(value: string | undefined): Authorization {
  if (value === undefined) return NONE;
  const space = value.indexOf(' ');
  const scheme = value.slice(0, Math.max(0, space)).toLowerCase();
  const rest = value.slice(space + 1);
  if (scheme === 'basic' && rest.length <= MAX_BASIC_LENGTH) return parseBasic(rest);
  const isBearer = scheme === 'bearer' && rest.length <= MAX_BEARER_LENGTH;
  return isBearer && /^[A-Za-z0-9._~+/-]+=*$/.test(rest)
    ? { kind: 'bearer', token: rest }
    : UNUSABLE;
}

function parseBasic(encoded: string): Authorization {
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) return UNUSABLE;
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes) || /\p{Cc}/u.test(text)) return UNUSABLE;
  const colon = text.indexOf(':');
  if (colon < 0) return UNUSABLE;
  return {
    kind: 'basic',
    credentials: { username: text.slice(0, colon), password: text.slice(colon + 1) },
  };
}
