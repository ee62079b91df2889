import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { blobCalls, conditionalBlobCalls, rangeCalls } from './blob-calls.ts';
import type { Call } from './call-table.ts';
import { referrerCalls, tagCalls } from './list-calls.ts';
import { conditionalManifestCalls, manifestCalls } from './manifest-calls.ts';
import { pathIn, type ReadView } from './read-view.ts';
import { manifestDigest, unknownDigest } from './wire-content.ts';

/** What a registry says of itself, whatever it holds. */
export const baseCalls: readonly Call[] = [
  {
    shows: 'says that it is a registry',
    method: 'GET',
    path: '/v2/',
    status: 200,
    answers: { 'Content-Type': 'application/json', 'Content-Length': '2' },
    json: {},
  },
  { shows: 'says so without the slash', method: 'GET', path: '/v2', status: 200, json: {} },
  {
    shows: 'says so to a HEAD',
    method: 'HEAD',
    path: '/v2/',
    status: 200,
    answers: { 'Content-Length': '2' },
    content: '',
  },
  { shows: 'answers a liveness look', method: 'GET', path: '/', status: 200 },
  { shows: 'answers a liveness look', method: 'HEAD', path: '/', status: 200, content: '' },
  ...['/v3/', '/v1/search', '/v2/_unknown', '/v2/team/app/tags', '/v2/team/app/other/x'].map(
    (path) => ({ shows: 'has nothing elsewhere', method: 'GET', path, status: 404 }),
  ),
];

/** Everything that can be read of what `pushWireContent` pushed. */
export function readCalls(view: ReadView): readonly Call[] {
  return [
    ...manifestCalls(view),
    ...conditionalManifestCalls(view),
    ...blobCalls(view),
    ...rangeCalls(view),
    ...conditionalBlobCalls(view),
    ...tagCalls(view),
    ...referrerCalls(view),
  ];
}

/** What is not there, in a repository that is and in one that is not. */
export function absenceCalls(view: ReadView): readonly Call[] {
  const nowhere = { ...view, name: `${view.name}-nowhere` };
  const unknown512 = digestOf(Buffer.from('never pushed'), 'sha512');
  const references = ['nothing', '.not-a-tag', 'a'.repeat(129), unknownDigest, unknown512];
  const inPlaces = [view, nowhere].flatMap((place) =>
    ['GET', 'HEAD'].map((method) => ({ place, method })),
  );
  return [
    ...inPlaces.flatMap(({ place, method }) => [
      ...references.map((reference) => ({
        shows: 'has no such manifest',
        method,
        path: pathIn(place, `manifests/${reference}`),
        status: 404,
        code: 'MANIFEST_UNKNOWN',
      })),
      ...[unknownDigest, unknown512].map((digest) => ({
        shows: 'has no such blob',
        method,
        path: pathIn(place, `blobs/${digest}`),
        headers: { 'If-None-Match': `"${digest}"` },
        status: 404,
        code: 'BLOB_UNKNOWN',
      })),
      ...['sha256:abc', `sha256:${'A'.repeat(64)}`, `md5:${'a'.repeat(32)}`].flatMap((digest) =>
        ['manifests', 'blobs'].map((kind) => ({
          shows: 'refuses a digest that is none',
          method,
          path: pathIn(place, `${kind}/${digest}`),
          status: 400,
          code: 'DIGEST_INVALID',
        })),
      ),
    ]),
    {
      shows: 'has no tags of a repository that is not there',
      method: 'GET',
      path: pathIn(nowhere, 'tags/list'),
      status: 404,
      code: 'NAME_UNKNOWN',
    },
    {
      shows: 'has an empty list of referrers in a repository that is not there',
      method: 'GET',
      path: pathIn(nowhere, `referrers/${manifestDigest}`),
      status: 200,
      json: { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] },
    },
    ...[view, nowhere].flatMap(({ name }) =>
      ['manifests/v1', `blobs/${unknownDigest}`, 'tags/list'].map((rest) => ({
        shows: 'knows nothing of another registry',
        method: 'GET',
        path: pathIn({ name, namespace: 'elsewhere.example' }, rest),
        status: 404,
      })),
    ),
  ];
}
