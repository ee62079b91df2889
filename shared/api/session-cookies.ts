import { createHash, timingSafeEqual } from 'node:crypto';

/** Our pages, as browsers reach them: made of configuration, never of a request. */
export interface PublicOrigin {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly isEncrypted: boolean;
}

/** Undefined for what is neither https nor plain HTTP on this machine: nobody is signed in over it. */
export function publicOrigin(url: string): PublicOrigin | undefined {
  const { origin, protocol, hostname } = new URL(url);
  const isLoopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname);
  const isEncrypted = protocol === 'https:';
  return isEncrypted || (protocol === 'http:' && isLoopback) ? { origin, isEncrypted } : undefined;
}

/** The cookies of one browser at one address of ours. */
export class SessionCookies {
  readonly #prefix: string;
  readonly #attributes: string;

  /** `__Host-` binds a cookie to this host, all of its paths and TLS; plain HTTP on a loopback cannot have that. */
  constructor({ isEncrypted }: PublicOrigin) {
    this.#prefix = isEncrypted ? '__Host-' : '';
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${isEncrypted ? '; Secure' : ''}`;
  }

  read(cookies: ReadonlyMap<string, string>, name: string): string | undefined {
    return cookies.get(this.#prefix + name);
  }

  write(name: string, value: string, maxAgeSeconds: number): string {
    return `${this.#prefix}${name}=${value}; Max-Age=${maxAgeSeconds}; ${this.#attributes}`;
  }

  clear(name: string): string {
    return this.write(name, '', 0);
  }
}

/** Of two of one name the first counts: a browser sends the one of the longest path first, and ours have all paths. */
export function parseCookies(header: string | undefined): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>();
  for (const part of (header ?? '').split(';')) {
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(0, at)).trim();
    if (name !== '' && !cookies.has(name)) cookies.set(name, part.slice(at + 1).trim());
  }
  return cookies;
}

/** What pages of ours send along with a change: made of the session, so that nothing else has to be kept. */
export const formToken = (sessionToken: string): string =>
  createHash('sha256').update(`form of ${sessionToken}`).digest('base64url');

/** Compares in a time that tells nothing. */
export function isFormToken(given: string | undefined, sessionToken: string): boolean {
  const [one, other] = [Buffer.from(given ?? ''), Buffer.from(formToken(sessionToken))];
  return one.length === other.length && timingSafeEqual(one, other);
}
