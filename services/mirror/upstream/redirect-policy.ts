import { UpstreamFault } from './outcome.ts';

export const MAX_REDIRECTS = 5;

/**
 * Where a redirect leads (RFC 9110, 10.2.2: relative locations are resolved). Throws UpstreamFault for what would leave
 * http or https, go from https to http, or carry user information.
 */
export function redirectTarget(location: string, from: URL): URL {
  const next = URL.parse(location, from.href);
  if (!next || (next.protocol !== 'https:' && next.protocol !== 'http:')) {
    throw new UpstreamFault('redirect', `${from.host} redirects to something that is not http(s)`);
  }
  if (from.protocol === 'https:' && next.protocol === 'http:') {
    throw new UpstreamFault('redirect', `${from.host} redirects from https to http`);
  }
  if (next.username !== '' || next.password !== '') {
    throw new UpstreamFault('redirect', `${from.host} redirects to a URL with user information`);
  }
  return next;
}

/**
 * The headers of the next hop: without Authorization where scheme, host or port changed. What was taken off does not
 * come back, also when a later hop returns to the first host.
 */
export function redirectedHeaders(
  headers: Readonly<Record<string, string>>,
  from: URL,
  to: URL,
): Readonly<Record<string, string>> {
  if (from.origin === to.origin) return headers;
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'),
  );
}
