import type { IncomingHttpHeaders } from 'node:http';

import { registryError } from '../oci/errors.ts';

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Lets a request pass that a cookie vouches for if it comes from a page of this server: browsers send cookies along
 * with what foreign pages ask for. Reads pass, since they change nothing and foreign pages do not see the answer.
 * `Sec-Fetch-Site` is a browser's own word, `Origin` its older one; a request with neither comes from no browser that
 * is safe to trust with a cookie. `publicOrigin` comes from the configuration, never from the Host header. Throws
 * RegistryError 403.
 */
export function requireOwnPage(
  method: string,
  headers: IncomingHttpHeaders,
  publicOrigin: string,
): void {
  if (READS.has(method)) return;
  const { origin, 'sec-fetch-site': site } = headers;
  const isOurs = origin === publicOrigin && (site === undefined || site === 'same-origin');
  if (isOurs) return;
  throw registryError('DENIED', {
    message: 'a session is heeded for requests of our own pages alone',
  });
}
