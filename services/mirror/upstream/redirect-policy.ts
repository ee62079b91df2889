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

/** All that another host needs: which content, and which part of it. */
const HEADERS_FOR_ANYBODY: ReadonlySet<string> = new Set(['accept', 'range']);

/**
 * The headers of the next hop: where scheme, host or port changed, neither Authorization nor anything else that is not
 * about the content. What was taken off does not come back, also when a later hop returns to the first host.
 */
export function redirectedHeaders(
  headers: Readonly<Record<string, string>>,
  from: URL,
  to: URL,
): Readonly<Record<string, string>> {
  if (from.origin === to.origin) return headers;
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => HEADERS_FOR_ANYBODY.has(name.toLowerCase())),
  );
}
