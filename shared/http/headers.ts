import type { PullTrace } from '../content/pull-trace.ts';

/** Header names as the specifications write them; Node compares them without case. */
export const HEADERS = {
  acceptRanges: 'Accept-Ranges',
  allow: 'Allow',
  apiVersion: 'Docker-Distribution-API-Version',
  cache: 'X-Cache',
  cacheControl: 'Cache-Control',
  connection: 'Connection',
  contentDigest: 'Docker-Content-Digest',
  contentLength: 'Content-Length',
  contentRange: 'Content-Range',
  contentType: 'Content-Type',
  contentTypeOptions: 'X-Content-Type-Options',
  etag: 'ETag',
  filtersApplied: 'OCI-Filters-Applied',
  link: 'Link',
  location: 'Location',
  namespace: 'OCI-Namespace',
  range: 'Range',
  retryAfter: 'Retry-After',
  subject: 'OCI-Subject',
  tag: 'OCI-Tag',
  uploadUuid: 'Docker-Upload-UUID',
  warning: 'Warning',
} as const;

export type HeaderFields = Readonly<Record<string, string | number | readonly string[]>>;

/** A `Warning` value (distribution-spec, spec.md#warnings): printable ASCII in quotes, short enough to be sent. */
export function formatWarning(text: string): string {
  const plain = text
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .replaceAll(/["\\]/g, "'")
    .slice(0, 1024);
  return `299 - "${plain}"`;
}

/** Of formats that no browser shows: those of images and artifacts. */
const SHOWN_BY_NOBODY = /^application\/vnd\.[\w.-]+\+json$/;

/**
 * What goes with content whose type its pusher has chosen: no browser shows it, or runs it as a page of this registry,
 * where people have sessions.
 */
export const inertHeaders = (mediaType: string): HeaderFields =>
  SHOWN_BY_NOBODY.test(mediaType)
    ? {}
    : {
        'Content-Disposition': 'attachment',
        'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
      };

/** The `X-Cache` of a pull; nothing for content that was pushed here. */
export function cacheHeader({ servedFrom }: PullTrace): HeaderFields {
  if (!servedFrom) return {};
  const { cache, upstream, ageSeconds } = servedFrom;
  const age = ageSeconds === undefined ? '' : `; age=${Math.max(0, Math.floor(ageSeconds))}`;
  return { [HEADERS.cache]: `${cache}; upstream=${upstream}${age}` };
}

/** True when an `If-None-Match` or `If-Range` value names the entity tag, weakly compared (RFC 9110, 8.8.3.2). */
export function namesEntityTag(value: string, etag: string): boolean {
  return value
    .split(',')
    .map((item) => item.trim())
    .some((item) => item === '*' || item === etag || item === `W/${etag}`);
}
