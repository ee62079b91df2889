import type { ExchangeResponse } from './http-exchange.ts';

/**
 * Query of the page that a `Link` header names as next (RFC 8288). Only this of it is used: it cannot lead to another
 * host or path.
 */
export function nextPageQuery(response: ExchangeResponse): string | undefined {
  const link = /^\s*<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(response.header('link') ?? '');
  const next = link?.[1] === undefined ? undefined : URL.parse(link[1], response.url.href);
  return next?.search.slice(1);
}
