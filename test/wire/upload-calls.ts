import { digestOf } from '../../shared/oci/digest.ts';
import type { Call, ExpectedHeaders } from './call-table.ts';
import {
  config,
  configDigest,
  emptyDigest,
  layer,
  layerDigest,
  layerDigest512,
  unknownDigest,
} from './wire-content.ts';

const UPLOAD_ID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const octets = { 'Content-Type': 'application/octet-stream' };
const twoParts = Buffer.concat([layer, config]);

/** A session as each answer about it shows it: where it is and what it has. */
const session = (name: string, range: string): ExpectedHeaders => ({
  Location: new RegExp(`^/v2/${name}/blobs/uploads/${UPLOAD_ID}$`),
  'Docker-Upload-UUID': new RegExp(`^${UPLOAD_ID}$`),
  Range: range,
});
const stored = (name: string, digest: string): ExpectedHeaders => ({
  Location: `/v2/${name}/blobs/${digest}`,
  'Docker-Content-Digest': digest,
  'Content-Length': '0',
});
const open = (name: string, saves: string, query = ''): Call => ({
  shows: `opens an upload${query && ` for ${query}`}`,
  method: 'POST',
  path: `/v2/${name}/blobs/uploads/${query}`,
  headers: { 'Content-Length': '0' },
  status: 202,
  answers: { ...session(name, '0-0'), 'OCI-Chunk-Min-Length': undefined },
  saves,
});
const has = (name: string, digest: string, content: Buffer): Call => ({
  shows: 'then has the blob',
  method: 'GET',
  path: `/v2/${name}/blobs/${digest}`,
  status: 200,
  content,
});

/** A blob in one request, or in a POST and a PUT. */
export function wholeUploadCalls(name: string): readonly Call[] {
  const blobs = [
    [layerDigest, layer],
    [layerDigest512, layer],
    [configDigest, config],
    [emptyDigest, Buffer.alloc(0)],
  ] as const;
  return [
    ...blobs.flatMap(([digest, body]) => [
      {
        shows: 'takes a blob in one POST',
        method: 'POST',
        path: `/v2/${name}/blobs/uploads/?digest=${digest}`,
        headers: octets,
        body,
        status: 201,
        answers: stored(name, digest),
      },
      has(name, digest, body),
    ]),
    ...[layerDigest, layerDigest512].flatMap((digest) => [
      open(`${name}-put`, 'whole'),
      {
        shows: 'takes a blob in a POST and a PUT',
        method: 'PUT',
        path: `{whole}?digest=${digest}`,
        headers: octets,
        body: layer,
        status: 201,
        answers: stored(`${name}-put`, digest),
      },
      has(`${name}-put`, digest, layer),
    ]),
    {
      shows: 'refuses bytes of another digest',
      method: 'POST',
      path: `/v2/${name}/blobs/uploads/?digest=${unknownDigest}`,
      body: layer,
      status: 400,
      code: 'DIGEST_INVALID',
    },
    {
      shows: 'has stored nothing of what it refused',
      method: 'HEAD',
      path: `/v2/${name}/blobs/${unknownDigest}`,
      status: 404,
    },
    ...['digest=sha256:abc', 'mount=sha256:abc', 'digest-algorithm=md5'].map((query) => ({
      shows: `refuses ${query}`,
      method: 'POST',
      path: `/v2/${name}/blobs/uploads/?${query}`,
      body: layer,
      status: 400,
      code: 'DIGEST_INVALID',
    })),
  ];
}

/** Chunks in order and out of it, and the last with the PUT. */
export function chunkCalls(name: string): readonly Call[] {
  const patch = (range: string, body: Buffer) => ({
    method: 'PATCH',
    path: '{chunks}',
    headers: { ...octets, 'Content-Range': range },
    body,
  });
  const chunk = (range: string, body: Buffer): Call => ({
    ...patch(range, body),
    shows: `takes the chunk ${range}`,
    status: 202,
    answers: session(name, `0-${range.split('-')[1]}`),
    saves: 'chunks',
  });
  const state = (method: string, range: string): Call => ({
    shows: 'tells how far it is',
    method,
    path: '{chunks}',
    status: 204,
    answers: session(name, range),
    content: '',
  });
  const first = 1000;
  const bad = [
    ['0-999', 0, 416, 'BLOB_UPLOAD_INVALID'],
    ['1500-1999', 1500, 416, 'BLOB_UPLOAD_INVALID'],
    ['999-1998', 999, 416, 'BLOB_UPLOAD_INVALID'],
    ['bytes 1000-1999/*', 1000, 400, 'BLOB_UPLOAD_INVALID'],
    ['1000', 1000, 400, 'BLOB_UPLOAD_INVALID'],
    ['a-b', 1000, 400, 'BLOB_UPLOAD_INVALID'],
    ['1999-1000', 1000, 400, 'SIZE_INVALID'],
    ['1000-1500', 1000, 400, 'SIZE_INVALID'],
  ] as const;
  return [
    open(name, 'chunks'),
    state('GET', '0-0'),
    chunk('0-999', layer.subarray(0, first)),
    state('GET', '0-999'),
    state('HEAD', '0-999'),
    ...bad.flatMap(([range, from, status, code]) => [
      {
        ...patch(range, layer.subarray(from, from + 1000)),
        shows: `refuses the chunk ${range}`,
        status,
        code,
        answers: status === 416 ? session(name, '0-999') : {},
      },
      state('GET', '0-999'),
    ]),
    chunk('1000-1999', layer.subarray(first)),
    {
      shows: 'takes the last chunk with the PUT',
      method: 'PUT',
      path: `{chunks}?digest=${digestOf(twoParts)}`,
      headers: { ...octets, 'Content-Range': `2000-${twoParts.length - 1}` },
      body: config,
      status: 201,
      answers: stored(name, digestOf(twoParts)),
    },
    {
      shows: 'answers a repeated PUT like the first',
      method: 'PUT',
      path: `{chunks}?digest=${digestOf(twoParts)}`,
      status: 201,
      answers: stored(name, digestOf(twoParts)),
    },
    {
      shows: 'knows the finished session no more',
      method: 'GET',
      path: '{chunks}',
      status: 404,
      code: 'BLOB_UPLOAD_UNKNOWN',
    },
    has(name, digestOf(twoParts), twoParts),
  ];
}

/** Uploads of a length that nobody said before, and ends of all kinds. */
export function streamCalls(name: string): readonly Call[] {
  const stream = (query = ''): Call[] => [
    open(name, 'stream', query),
    {
      shows: 'takes what is streamed',
      method: 'PATCH',
      path: '{stream}',
      headers: { 'Transfer-Encoding': 'chunked' },
      body: layer,
      status: 202,
      answers: session(name, '0-1999'),
      saves: 'stream',
    },
  ];
  const commit = (query: string, status: number, code?: string): Call => ({
    shows: `ends the upload for ${query.slice(0, 14) || 'nothing'} with ${status}`,
    method: 'PUT',
    path: `{stream}${query}`,
    headers: { 'Content-Length': '0' },
    status,
    ...(code !== undefined && { code }),
  });
  const twice = Buffer.concat([layer, layer]);
  return [
    ...stream(),
    commit(`?digest=${layerDigest}`, 201),
    ...stream(),
    commit(`?digest=${layerDigest512}`, 201),
    ...stream('?digest-algorithm=sha512'),
    commit(`?digest=${layerDigest512}`, 201),
    ...stream('?digest-algorithm=sha256'),
    commit(`?digest=${layerDigest512}`, 201),
    has(name, layerDigest512, layer),
    ...stream(),
    { ...stream()[1]!, shows: 'appends what is streamed next', answers: { Range: '0-3999' } },
    commit(`?digest=${digestOf(twice)}`, 201),
    has(name, digestOf(twice), twice),
    ...stream(),
    commit('', 400, 'DIGEST_INVALID'),
    commit('?digest=sha256:abc', 400, 'DIGEST_INVALID'),
    commit(`?digest=${unknownDigest}`, 400, 'DIGEST_INVALID'),
    {
      shows: 'has stored nothing of what it refused',
      method: 'HEAD',
      path: `/v2/${name}/blobs/${unknownDigest}`,
      status: 404,
    },
    ...stream(),
    ...(['GET', 'PATCH', 'PUT', 'DELETE'] as const).map((method) => ({
      shows: 'does not know the upload of another repository',
      method,
      path: `/v2/${name}-other/blobs/uploads/{stream-id}${
        method === 'PUT' ? `?digest=${layerDigest}` : ''
      }`,
      ...(method === 'PATCH' && { body: layer }),
      status: 404,
      code: 'BLOB_UPLOAD_UNKNOWN',
    })),
    {
      shows: 'drops the upload',
      method: 'DELETE',
      path: '{stream}',
      status: 204,
      content: '',
    },
    ...(['GET', 'DELETE'] as const).map((method) => ({
      shows: 'knows the dropped upload no more',
      method,
      path: '{stream}',
      status: 404,
      code: 'BLOB_UPLOAD_UNKNOWN',
    })),
  ];
}

/** Blobs that another repository has. */
export function mountCalls(name: string, from: string): readonly Call[] {
  const mount = (query: string): Call => ({
    shows: 'opens an upload where nothing can be mounted',
    method: 'POST',
    path: `/v2/${name}/blobs/uploads/?${query}`,
    headers: { 'Content-Length': '0' },
    status: 202,
    answers: session(name, '0-0'),
    saves: 'mount',
  });
  const lacks: Call = {
    shows: 'does not give a blob through a repository that it does not belong to',
    method: 'GET',
    path: `/v2/${name}/blobs/${layerDigest}`,
    status: 404,
    code: 'BLOB_UNKNOWN',
  };
  return [
    lacks,
    mount(`mount=${layerDigest}`),
    mount(`mount=${layerDigest}&from=${from}-nowhere`),
    mount(`mount=${layerDigest}&from=NOT/a/name`),
    lacks,
    mount(`mount=${unknownDigest}&from=${from}`),
    {
      shows: 'takes what could not be mounted as an upload',
      method: 'PUT',
      path: `{mount}?digest=${configDigest}`,
      body: config,
      status: 201,
      answers: stored(name, configDigest),
    },
    {
      ...mount(`mount=${layerDigest}&from=${from}`),
      shows: 'mounts a blob from another repository',
      status: 201,
      answers: { ...stored(name, layerDigest), 'Docker-Upload-UUID': undefined },
    },
    has(name, layerDigest, layer),
  ];
}
