import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import type { Call } from './call-table.ts';
import { echoOf, pathIn, type ReadView } from './read-view.ts';
import { manifestDigest, unknownDigest, wireManifests, wireReferrers } from './wire-content.ts';

/** Tags in pages of every kind. */
export function tagCalls(view: ReadView): Call[] {
  const { name, namespace } = view;
  const tags = wireManifests.flatMap(({ tag }) => (tag === undefined ? [] : [tag]));
  const ns = namespace === undefined ? '' : `ns=${encodeURIComponent(namespace)}&`;
  const page = (query: string, entries: readonly string[], last?: string): Call => ({
    shows: `lists the tags for ${query || 'nothing more'}`,
    method: 'GET',
    path: pathIn(view, 'tags/list', query),
    status: 200,
    answers: {
      'Content-Type': 'application/json',
      Link: last === undefined ? undefined : `</v2/${name}/tags/list?${ns}${last}>; rel="next"`,
      ...echoOf(view),
    },
    json: { name, tags: entries },
  });
  return [
    page('', tags),
    page('n=', tags),
    page('n=4', tags),
    page('n=1000000', tags),
    page('n=2', ['docker', 'index'], 'n=2&last=index'),
    page('n=2&last=index', ['untyped', 'v1']),
    page('n=1&last=index', ['untyped'], 'n=1&last=untyped'),
    page('last=index', ['untyped', 'v1']),
    page('last=i', ['index', 'untyped', 'v1']),
    page('last=v1', []),
    page('last=zzz&n=5', []),
    page('n=0', []),
    {
      ...page('', tags),
      shows: 'tells how long the list of tags is',
      method: 'HEAD',
      json: undefined,
      content: '',
    },
    ...['-1', '1e3', 'x', '9'.repeat(30), '0x1'].map((n) => ({
      shows: 'refuses a page size that is none',
      method: 'GET',
      path: pathIn(view, 'tags/list', `n=${n}`),
      status: 400,
      code: 'PAGINATION_NUMBER_INVALID',
    })),
  ];
}

/** Referrers in pages, filtered and not. */
export function referrerCalls(view: ReadView): Call[] {
  const path = `referrers/${manifestDigest}`;
  const ns = view.namespace === undefined ? '' : `ns=${encodeURIComponent(view.namespace)}&`;
  const [first, second] = wireReferrers;
  const list = (
    query: string,
    manifests: readonly unknown[],
    { next, isFiltered = false }: { next?: string; isFiltered?: boolean } = {},
  ): Call => ({
    shows: `lists the referrers for ${query || 'nothing more'}`,
    method: 'GET',
    path: pathIn(view, path, query),
    status: 200,
    answers: {
      'Content-Type': MEDIA_TYPES.ociIndex,
      'OCI-Filters-Applied': isFiltered ? 'artifactType' : undefined,
      Link: next === undefined ? undefined : `</v2/${view.name}/${path}?${ns}${next}>; rel="next"`,
      ...echoOf(view),
    },
    json: { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests },
  });
  const typed = (type: string): string => `artifactType=${encodeURIComponent(type)}`;
  const both = `${typed('application/example.bill')}&${typed('application/example.signature')}`;
  const firstDigest = encodeURIComponent(String(first?.digest));
  return [
    list('', wireReferrers),
    list('artifactType=', wireReferrers),
    ...wireReferrers.map((one) => list(typed(one.artifactType), [one], { isFiltered: true })),
    list(both, wireReferrers, { isFiltered: true }),
    list('artifactType=application/other', [], { isFiltered: true }),
    list('n=1', [first], { next: `n=1&last=${firstDigest}` }),
    list(`${both}&n=1`, [first], { next: `${both}&n=1&last=${firstDigest}`, isFiltered: true }),
    list(`n=1&last=${String(first?.digest)}`, [second]),
    list('n=2', wireReferrers),
    list('n=0', []),
    {
      ...list('', wireReferrers),
      shows: 'tells how long the list of referrers is',
      method: 'HEAD',
      json: undefined,
      content: '',
    },
    {
      ...list('', []),
      shows: 'has an empty list for a subject that nobody knows',
      path: pathIn(view, `referrers/${unknownDigest}`),
    },
    {
      shows: 'refuses a subject that is no digest',
      method: 'GET',
      path: pathIn(view, 'referrers/sha256:abc'),
      status: 400,
      code: 'DIGEST_INVALID',
    },
    ...['last=abc', 'n=-1'].map((query) => ({
      shows: 'refuses a page that is none',
      method: 'GET',
      path: pathIn(view, path, query),
      status: 400,
    })),
  ];
}
