import { isPasswordHash } from '../is-password-hash.ts';

/** User names and their bcrypt hashes. */
export type HtpasswdUsers = ReadonlyMap<string, string>;

/** A line that cannot be used; never says what stands in it. */
class HtpasswdError extends Error {
  override readonly name = 'HtpasswdError';
}

/**
 * Reads what `htpasswd -B` writes: one `user:hash` a line, empty lines and lines that begin with `#` aside. Throws
 * HtpasswdError that names the first line whose hash is not bcrypt's: MD5, SHA-1, crypt and plain passwords are refused.
 */
export function parseHtpasswd(content: string): HtpasswdUsers {
  const users = new Map<string, string>();
  for (const [index, raw] of content.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const place = `line ${index + 1}`;
    const colon = line.indexOf(':');
    const username = line.slice(0, Math.max(0, colon));
    if (username === '') throw new HtpasswdError(`${place} is not user:hash`);
    const hash = line.slice(colon + 1);
    if (!isPasswordHash(hash)) {
      throw new HtpasswdError(
        `${place} has ${kindOf(hash)}; only bcrypt is taken (htpasswd -B, cost 4 to 31)`,
      );
    }
    if (users.has(username)) throw new HtpasswdError(`${place} has a user that stands above`);
    users.set(username, hash);
  }
  return users;
}

function kindOf(hash: string): string {
  if (hash.startsWith('$apr1$') || hash.startsWith('$1$')) return 'an MD5 hash';
  if (/^\$[56]\$/.test(hash) || hash.startsWith('{S')) return 'a SHA hash';
  if (/^\$2[abxy]\$/.test(hash)) return 'a damaged bcrypt hash';
  return 'a crypt hash or a plain password';
}
