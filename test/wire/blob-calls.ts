import type { Call } from './call-table.ts';
import { echoOf, pathIn, type ReadView } from './read-view.ts';
import {
  emptyDigest,
  layer,
  layerDigest,
  layerDigest512,
  unknownDigest,
  wireBlobs,
} from './wire-content.ts';

/** Every blob, whole. */
export function blobCalls(view: ReadView): Call[] {
  return wireBlobs.flatMap(([digest, bytes]) => {
    const common = {
      path: pathIn(view, `blobs/${digest}`),
      headers: { 'Accept-Encoding': 'gzip, zstd' },
      status: 200,
      answers: {
        'Accept-Ranges': 'bytes',
        'Cache-Control': /max-age=31536000/,
        'Content-Encoding': undefined,
        'Content-Length': String(bytes.length),
        'Content-Type': 'application/octet-stream',
        'Docker-Content-Digest': digest,
        ETag: `"${digest}"`,
        ...echoOf(view),
      },
    };
    return [
      { shows: 'tells the size of a blob', method: 'HEAD', ...common, content: '' },
      { shows: 'gives a blob', method: 'GET', ...common, content: bytes },
    ];
  });
}

const RANGES: readonly (readonly [range: string, first: number, last: number])[] = [
  ['bytes=500-1499', 500, 1499],
  ['bytes=500-', 500, 1999],
  ['bytes=-500', 1500, 1999],
  ['bytes=1000-5000', 1000, 1999],
  ['bytes=-5000', 0, 1999],
  ['bytes=0-', 0, 1999],
  ['bytes=0-0', 0, 0],
  ['bytes=1999-1999', 1999, 1999],
  ['bytes=0-999999999999999', 0, 1999],
  ['bytes= 5-6', 5, 6],
];
/** None of these is one range of bytes: the answer is the whole (RFC 9110, 14.2), for several ranges too. */
const NO_RANGES = [
  'bytes=0-1,5-6',
  'bytes=0-1, -5',
  'bytes=-',
  'bytes=',
  'bytes=a-b',
  'bytes=1-2-3',
  'lines=0-1',
  '0-1',
  `bytes=0-${'9'.repeat(30)}`,
];

/** Parts of a blob. */
export function rangeCalls(view: ReadView): Call[] {
  const common = { method: 'GET', path: pathIn(view, `blobs/${layerDigest}`) };
  return [
    ...RANGES.map(([range, first, last]) => ({
      ...common,
      shows: `gives the range ${range}`,
      headers: { Range: range },
      status: 206,
      answers: {
        'Content-Range': `bytes ${first}-${last}/${layer.length}`,
        'Content-Length': String(last - first + 1),
        'Docker-Content-Digest': layerDigest,
        ...echoOf(view),
      },
      content: layer.subarray(first, last + 1),
    })),
    ...NO_RANGES.map((range) => ({
      ...common,
      shows: `gives all for the range ${range.slice(0, 20)}`,
      headers: { Range: range },
      status: 200,
      answers: { 'Content-Range': undefined, 'Content-Length': String(layer.length) },
      content: layer,
    })),
    ...['bytes=5000-10000', 'bytes=2000-', 'bytes=500-0', 'bytes=-0'].map((range) => ({
      ...common,
      shows: `has nothing of the range ${range}`,
      headers: { Range: range },
      status: 416,
      code: 'RANGE_INVALID',
      answers: { 'Content-Range': `bytes */${layer.length}` },
    })),
    {
      ...common,
      shows: 'has no range of nothing',
      path: pathIn(view, `blobs/${emptyDigest}`),
      headers: { Range: 'bytes=0-' },
      status: 416,
      answers: { 'Content-Range': 'bytes */0' },
    },
    {
      ...common,
      shows: 'tells the size of all to a HEAD with a range',
      method: 'HEAD',
      headers: { Range: 'bytes=0-1' },
      status: 200,
      answers: { 'Content-Length': String(layer.length), 'Content-Range': undefined },
      content: '',
    },
    {
      ...common,
      shows: 'gives a range to who has the beginning of it',
      headers: { Range: 'bytes=5-', 'If-Range': `"${layerDigest}"` },
      status: 206,
      content: layer.subarray(5),
    },
    {
      ...common,
      shows: 'gives all to who has the beginning of another',
      headers: { Range: 'bytes=5-', 'If-Range': `"${unknownDigest}"` },
      status: 200,
      content: layer,
    },
  ];
}

/** Blobs that the client has. */
export function conditionalBlobCalls(view: ReadView): Call[] {
  return ['GET', 'HEAD'].map((method) => ({
    shows: 'does not send a blob again to who has it',
    method,
    path: pathIn(view, `blobs/${layerDigest512}`),
    headers: { 'If-None-Match': `"${layerDigest512}"` },
    status: 304,
    answers: { ETag: `"${layerDigest512}"`, ...echoOf(view) },
    content: '',
  }));
}
