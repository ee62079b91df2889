import type { PageRequest } from './pagination.ts';

/** A `Link` header to the page after `last` (RFC 8288). Relative, so that no proxy's host name is guessed. */
export function formatNextLink(
  path: string,
  request: PageRequest,
  last: string,
  query: URLSearchParams = new URLSearchParams(),
): string {
  const parameters = new URLSearchParams(query);
  parameters.set('n', String(request.size));
  return formatLinkAfter(path, last, parameters);
}

/** As `formatNextLink`, for a list whose pages are as long as the server sees fit. */
export function formatLinkAfter(path: string, last: string, query: URLSearchParams): string {
  const parameters = new URLSearchParams(query);
  parameters.set('last', last);
  return `<${path}?${parameters.toString()}>; rel="next"`;
}
