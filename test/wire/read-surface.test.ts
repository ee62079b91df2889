import { afterAll, beforeAll, describe } from '@jest/globals';

import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { type Call, describeCalls } from './call-table.ts';
import { absenceCalls, baseCalls, readCalls } from './read-calls.ts';
import type { ReadView } from './read-view.ts';
import { layer, layerDigest, pushWireContent } from './wire-content.ts';

const OURS = 'push.example:5000';

/** What was pushed here, as clients of either role may spell it. */
const LOCAL: readonly ReadView[] = [
  { name: 'team/app' },
  { name: 'local/team/app' },
  { name: 'team/app', namespace: OURS },
];
/** What is another registry's. */
const CACHED: readonly ReadView[] = [
  { name: 'mirror/org/image' },
  { name: 'docker.io/org/image' },
  { name: 'org/image', namespace: 'docker.io' },
];
/** Names that at the mirror alone mean another registry. */
const CACHED_BY_DEFAULT: ReadView = { name: 'org/image' };

let upstreamFolder: string;
let folder: string;
let upstream: TwinportProcess;
let push: TwinportProcess;
let mirror: TwinportProcess;

beforeAll(async () => {
  upstreamFolder = makeTempFolder('wire-upstream');
  folder = makeTempFolder('wire');
  upstream = await startTwinport({ role: 'push', storage: { dataDir: upstreamFolder } });
  await pushWireContent(upstream.url, 'org/image');
  await pushWireContent(upstream.url, 'org/second');
  const options = {
    storage: { dataDir: folder },
    upstreamUrl: upstream.url,
    env: { PUBLIC_HOSTS: OURS, TAG_TTL_SECONDS: '3600' },
  };
  mirror = await startTwinport({ role: 'mirror', ...options });
  push = await startTwinport({ role: 'push', ...options });
  await pushWireContent(push.url, 'team/app');
});

afterAll(async () => {
  await Promise.all([push.stop(), mirror.stop(), upstream.stop()]);
  await removeTempFolder(folder);
  await removeTempFolder(upstreamFolder);
});

const pushUrl = (): string => push.url;
const mirrorUrl = (): string => mirror.url;
const spelling = ({ name, namespace }: ReadView): string =>
  namespace === undefined ? name : `${name} with ns=${namespace}`;

describe.each([
  ['the push service', pushUrl],
  ['the mirror', mirrorUrl],
])('%s', (_, url) => {
  describeCalls(url, baseCalls);

  describe.each(LOCAL.map((view) => [spelling(view), view] as const))('as %s', (__, view) => {
    describeCalls(url, readCalls(view));
    describeCalls(url, absenceCalls(view));
  });
});

describe('the mirror, of what nobody pulled before', () => {
  describeCalls(mirrorUrl, readCalls(CACHED_BY_DEFAULT));
  describeCalls(mirrorUrl, absenceCalls(CACHED_BY_DEFAULT));
  describeCalls(mirrorUrl, [
    {
      shows: 'gives a part of a blob that nobody pulled whole',
      method: 'GET',
      path: `/v2/org/second/blobs/${layerDigest}`,
      headers: { Range: 'bytes=500-1499' },
      status: 206,
      answers: { 'Content-Range': 'bytes 500-1499/2000' },
      content: layer.subarray(500, 1500),
    },
  ]);
});

describe('the mirror, of what is cached', () => {
  describe.each(CACHED.map((view) => [spelling(view), view] as const))('as %s', (_, view) => {
    describeCalls(mirrorUrl, readCalls(view));
    describeCalls(mirrorUrl, absenceCalls(view));
  });
});

describe('the push service, of what is cached', () => {
  describe.each(CACHED.map((view) => [spelling(view), view] as const))('as %s', (_, view) => {
    describeCalls(pushUrl, readCalls(view));
    describeCalls(pushUrl, absenceCalls(view));
  });
});

describe('the catalog', () => {
  const all = ['mirror/org/image', 'mirror/org/second', 'team/app'];
  const page = (query: string, repositories: readonly string[], next?: string): Call => ({
    shows: `lists the repositories for ${query || 'nothing more'}`,
    method: 'GET',
    path: `/v2/_catalog${query === '' ? '' : `?${query}`}`,
    status: 200,
    answers: {
      'Content-Type': 'application/json',
      Link: next === undefined ? undefined : `</v2/_catalog?${next}>; rel="next"`,
    },
    json: { repositories },
  });
  const calls: Call[] = [
    page('', all),
    page('n=2', all.slice(0, 2), 'n=2&last=mirror%2Forg%2Fsecond'),
    page('n=2&last=mirror/org/second', all.slice(2)),
    page('n=1&last=mirror%2Forg%2Fimage', all.slice(1, 2), 'n=1&last=mirror%2Forg%2Fsecond'),
    page('last=n', all.slice(2)),
    page('last=zzz', []),
    page('n=0', []),
    page('n=100000', all),
    ...['-1', 'x', '9'.repeat(30)].map((n) => ({
      shows: 'refuses a page size that is none',
      method: 'GET',
      path: `/v2/_catalog?n=${n}`,
      status: 400,
      code: 'PAGINATION_NUMBER_INVALID',
    })),
  ];
  describe.each([
    ['the push service', pushUrl],
    ['the mirror', mirrorUrl],
  ])('of %s', (_, url) => {
    describeCalls(url, calls);
  });
});

describe('the mirror, of what is cached while the upstream is gone', () => {
  beforeAll(async () => {
    await upstream.stop();
  });

  describe.each([...CACHED, CACHED_BY_DEFAULT].map((view) => [spelling(view), view] as const))(
    'as %s',
    (_, view) => {
      describeCalls(mirrorUrl, readCalls(view));
    },
  );

  describeCalls(
    mirrorUrl,
    ['manifests/not-asked-for-before', `blobs/sha256:${'0'.repeat(64)}`].map((rest) => ({
      shows: 'does not say that something is not there when nobody could be asked',
      method: 'GET',
      path: `/v2/org/image/${rest}`,
      status: 503,
      code: 'UNAVAILABLE',
      answers: { 'Retry-After': /^\d+$/ },
    })),
  );
});
