import type { RequestListener } from 'node:http';

import { findUpstream, type UpstreamEntry } from '../../shared/content/upstream-entry.ts';

/**
 * Takes requests of clients that put the path of a mirror's URL before `/v2`: with the mirror `https://HOST/ghcr.io`,
 * docker and containerd ask for `/ghcr.io/v2/org/app/…`, and k3s for `/ghcr.io/org/app/…`. Both mean
 * `/v2/ghcr.io/org/app/…`, where the first segment is an upstream's project or host; every other path stays what it was.
 */
export function withUpstreamPrefix(
  app: RequestListener,
  upstreams: readonly UpstreamEntry[],
): RequestListener {
  return (request, response) => {
    const { url = '' } = request;
    if (!url.startsWith('/v2/')) request.url = withPrefixBehindV2(url, upstreams);
    app(request, response);
  };
}

export function withPrefixBehindV2(url: string, upstreams: readonly UpstreamEntry[]): string {
  const [, prefix, rest] = /^\/([^/?]+)(\/[^]*)$/.exec(url) ?? [];
  if (prefix === undefined || rest === undefined || !findUpstream(upstreams, prefix)) return url;
  if (/^\/v2\/?(?:\?|$)/.test(rest)) return rest;
  return `/v2/${prefix}${rest.startsWith('/v2/') ? rest.slice('/v2'.length) : rest}`;
}
