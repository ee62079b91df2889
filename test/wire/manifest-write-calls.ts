import { digestOf } from '../../shared/oci/digest.ts';
import { MANIFEST_MAX_BYTES, MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import type { Call } from './call-table.ts';
import {
  artifact,
  artifactDigest,
  layer,
  layerDigest,
  manifest,
  manifestDigest,
  manifestDigest512,
  manifestType,
  unknownDigest,
} from './wire-content.ts';

const artifactIndex = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    artifactType: 'application/example.list',
    manifests: [],
    subject: {
      mediaType: MEDIA_TYPES.ociManifest,
      digest: unknownDigest,
      size: 1,
    },
  }),
);

/** Manifests under tags and digests, in a repository that has what they name. */
export function manifestPutCalls(name: string): readonly Call[] {
  const put = (reference: string, body: Buffer = manifest): Call => ({
    shows: 'takes a manifest',
    method: 'PUT',
    path: `/v2/${name}/manifests/${reference}`,
    headers: manifestType,
    body,
    status: 201,
    answers: {
      Location: `/v2/${name}/manifests/${digestOf(body)}`,
      'Docker-Content-Digest': digestOf(body),
      'OCI-Subject': undefined,
      'OCI-Tag': undefined,
      'Content-Length': '0',
    },
  });
  const refused = (reference: string, status: number, code: string): Call => ({
    ...put(reference),
    shows: `refuses a manifest with ${code}`,
    status,
    code,
    answers: {},
  });
  const tags = Array.from({ length: 20 }, (_, i) => `t${String(i).padStart(2, '0')}`);
  return [
    {
      ...refused('v1', 400, 'MANIFEST_BLOB_UNKNOWN'),
      path: `/v2/${name}-without/manifests/v1`,
    },
    put('v1'),
    put(manifestDigest),
    {
      ...put(manifestDigest512),
      answers: {
        Location: `/v2/${name}/manifests/${manifestDigest512}`,
        'Docker-Content-Digest': manifestDigest512,
      },
    },
    {
      ...put(`${manifestDigest}?tag=a&tag=v1.0`),
      shows: 'takes several tags with a manifest by digest',
      headers: { 'Content-Type': `${MEDIA_TYPES.ociManifest}; charset=utf-8` },
      answers: { 'OCI-Tag': 'a, v1.0' },
    },
    {
      ...put(`${manifestDigest}?${tags.map((tag) => `tag=${tag}`).join('&')}`),
      shows: 'takes more tags at once than a client may count on',
      answers: { 'OCI-Tag': tags.join(', ') },
    },
    {
      ...put('untyped'),
      shows: 'takes a manifest by the type that it names itself',
      headers: {},
    },
    {
      ...put(artifactDigest, artifact),
      shows: 'takes an artifact and says which subject it refers to',
      answers: { 'OCI-Subject': manifestDigest },
    },
    {
      ...put('list', artifactIndex),
      shows: 'takes an index with a subject that is not there',
      headers: { 'Content-Type': MEDIA_TYPES.ociIndex },
      answers: { 'OCI-Subject': unknownDigest },
    },
    refused(unknownDigest, 400, 'DIGEST_INVALID'),
    refused('sha256:baddigeststring', 400, 'DIGEST_INVALID'),
    refused('.hidden', 400, 'TAG_INVALID'),
    refused(`${manifestDigest}?tag=.hidden`, 400, 'TAG_INVALID'),
    refused(
      `${manifestDigest}?${Array.from({ length: 101 }, (_, i) => `tag=t${i}`).join('&')}`,
      414,
      'TAG_INVALID',
    ),
    { ...refused('bad', 400, 'MANIFEST_INVALID'), body: '{' },
    {
      ...refused('bad', 400, 'MANIFEST_INVALID'),
      headers: { 'Content-Type': MEDIA_TYPES.ociIndex },
    },
    {
      ...refused('bad', 413, 'MANIFEST_INVALID'),
      body: Buffer.alloc(MANIFEST_MAX_BYTES + 1, ' '),
    },
    {
      shows: 'has none of what it refused',
      method: 'HEAD',
      path: `/v2/${name}/manifests/bad`,
      status: 404,
    },
    {
      shows: 'has every tag of what it took',
      method: 'GET',
      path: `/v2/${name}/tags/list`,
      status: 200,
      json: { name, tags: ['a', 'list', ...tags, 'untyped', 'v1', 'v1.0'] },
    },
    {
      shows: 'lists what refers to a subject that is not there',
      method: 'GET',
      path: `/v2/${name}/referrers/${unknownDigest}`,
      status: 200,
      content: new RegExp(digestOf(artifactIndex)),
    },
  ];
}

/** Deletes of what the calls above and the uploads before them made; `mounted` has the layer too. */
export function deleteCalls(name: string, mounted: string): readonly Call[] {
  const remove = (rest: string): Call => ({
    shows: 'deletes',
    method: 'DELETE',
    path: `/v2/${name}/${rest}`,
    status: 202,
    content: '',
  });
  const look = (rest: string, status: number, method = 'HEAD'): Call => ({
    shows: status === 404 ? 'has it no more' : 'still has what else there is',
    method,
    path: `/v2/${name}/${rest}`,
    status,
  });
  return [
    remove('manifests/a'),
    look('manifests/a', 404),
    look('manifests/v1', 200),
    look(`manifests/${manifestDigest}`, 200),
    remove(`manifests/${artifactDigest}`),
    {
      shows: 'lists a deleted referrer no more',
      method: 'GET',
      path: `/v2/${name}/referrers/${manifestDigest}`,
      status: 200,
      json: { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] },
    },
    remove(`manifests/${manifestDigest}`),
    { ...look(`manifests/${manifestDigest}`, 404, 'GET'), code: 'MANIFEST_UNKNOWN' },
    look('manifests/v1', 404),
    look(`manifests/${manifestDigest512}`, 200),
    {
      shows: 'has none of the tags of a manifest that was deleted',
      method: 'GET',
      path: `/v2/${name}/tags/list`,
      status: 200,
      json: { name, tags: ['list'] },
    },
    remove(`blobs/${layerDigest}`),
    { ...look(`blobs/${layerDigest}`, 404, 'GET'), code: 'BLOB_UNKNOWN' },
    {
      shows: 'still has the blob in the repository that mounted it',
      method: 'GET',
      path: `/v2/${mounted}/blobs/${layerDigest}`,
      status: 200,
      content: layer,
    },
    ...['nothing', manifestDigest, unknownDigest].map((reference) => ({
      ...remove(`manifests/${reference}`),
      shows: 'cannot delete a manifest that is not there',
      status: 404,
      code: 'MANIFEST_UNKNOWN',
      content: /errors/,
    })),
    ...[layerDigest, unknownDigest].map((digest) => ({
      ...remove(`blobs/${digest}`),
      shows: 'cannot delete a blob that is not there',
      status: 404,
      code: 'BLOB_UNKNOWN',
      content: /errors/,
    })),
    { ...remove('manifests/sha256:abc'), status: 400, code: 'DIGEST_INVALID', content: /errors/ },
  ];
}

/** What no path has. */
export function otherMethodCalls(name: string): readonly Call[] {
  const rows = [
    ['POST', 'manifests/v1', 'GET, HEAD, PUT, DELETE'],
    ['PATCH', 'manifests/v1', 'GET, HEAD, PUT, DELETE'],
    ['PUT', `blobs/${layerDigest}`, 'GET, HEAD, DELETE'],
    ['DELETE', 'tags/list', 'GET, HEAD'],
    ['PUT', `referrers/${manifestDigest}`, 'GET, HEAD'],
    ['DELETE', 'blobs/uploads/', 'POST'],
    ['OPTIONS', 'manifests/v1', 'GET, HEAD, PUT, DELETE'],
  ] as const;
  return rows.map(([method, rest, allow]) => ({
    shows: 'says which methods a path has',
    method,
    path: `/v2/${name}/${rest}`,
    status: 405,
    code: 'UNSUPPORTED',
    answers: { Allow: allow },
  }));
}
