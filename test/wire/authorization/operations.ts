import { TAG } from './contents.ts';
import type { Right, Told } from './model.ts';
import type { Name } from './names.ts';

/** What of a request is not the asker's. */
export interface Sent {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** Where a request finds what it names. */
export interface Target {
  readonly name: Name;
  /** No two that change something have one mark. */
  readonly mark: string;
  /** An upload session of the repository, or of another one; for names that have none, one that is nobody's. */
  readonly session: string;
}

export interface Operation {
  readonly title: string;
  readonly right: Right;
  /** Beside the rest of what names are tried with. */
  readonly isMain?: true;
  readonly isRead?: true;
  send(target: Target): Sent;
  /** What is told to those who may. */
  told(name: Name): Told;
  /** Sent before, by an administrator, for those who may. */
  readonly before?: (target: Target) => readonly Sent[];
  /** The session that it is sent to: his own, that of another one who may push there, one of another repository. */
  readonly session?: 'own' | 'anothers' | 'foreign';
  /** What it reads beside what it changes. */
  readonly source?: 'public' | 'secret' | 'others' | 'absent';
}

/** The target of a request for a part of the repository. */
export const at = ({ name: { spelling, ns } }: Target, rest: string): string =>
  `/v2/${spelling}/${rest}${ns === undefined ? '' : `${rest.includes('?') ? '&' : '?'}ns=${ns}`}`;

export const NO_MANIFEST: Told = { status: 404, code: 'MANIFEST_UNKNOWN' };
export const NO_BLOB: Told = { status: 404, code: 'BLOB_UNKNOWN' };

/** docs/mirror.md, "What is answered": a miss that could not be asked is never 404. */
const UNASKED: Told = { status: 503, code: 'UNAVAILABLE' };

interface Reading {
  readonly status?: number;
  readonly missing: Told;
  readonly headers?: Readonly<Record<string, string>>;
  readonly isMain?: boolean;
}

function read(
  method: string,
  title: string,
  rest: (name: Name) => string,
  { status = 200, missing, headers, isMain }: Reading,
): Operation {
  return {
    title: `${method} ${title}`,
    right: 'pull',
    isRead: true,
    ...(isMain === true && { isMain }),
    send: (target) => ({
      method,
      path: at(target, rest(target.name)),
      ...(headers && { headers }),
    }),
    told: ({ isThere, always }) => always ?? (isThere ? { status } : missing),
  };
}

/** GET and HEAD of one thing. */
const reads = (title: string, rest: (name: Name) => string, reading: Reading): Operation[] =>
  ['GET', 'HEAD'].map((method) => read(method, title, rest, reading));

const absent = (
  method: string,
  title: string,
  rest: (name: Name) => string,
  told: Told,
  isMain = false,
): Operation => ({
  ...read(method, title, rest, { missing: told, isMain }),
  told: ({ always, isCutOff }) => always ?? (isCutOff ? UNASKED : told),
});

const ofManifest = { missing: NO_MANIFEST };
const ofBlob = { missing: NO_BLOB };

export const READ_OPERATIONS: readonly Operation[] = [
  read('GET', 'tag', () => `manifests/${TAG}`, { ...ofManifest, isMain: true }),
  read('HEAD', 'tag', () => `manifests/${TAG}`, ofManifest),
  ...reads('manifest', ({ content }) => `manifests/${content.manifest.digest}`, ofManifest),
  read('GET', 'index', () => 'manifests/multi', ofManifest),
  read('GET', 'index by digest', ({ content }) => `manifests/${content.index.digest}`, ofManifest),
  read('GET', 'referrer', ({ content }) => `manifests/${content.referrer.digest}`, ofManifest),
  read('GET', 'unchanged manifest', ({ content }) => `manifests/${content.manifest.digest}`, {
    ...ofManifest,
    status: 304,
    headers: { 'if-none-match': '*' },
  }),
  ...reads('manifest by sha512', ({ content }) => `manifests/${content.manifest512}`, ofManifest),
  read('GET', 'blob', ({ content }) => `blobs/${content.layer.digest}`, ofBlob),
  read('HEAD', 'blob', ({ content }) => `blobs/${content.layer.digest}`, {
    ...ofBlob,
    isMain: true,
  }),
  ...reads('blob by sha512', ({ content }) => `blobs/${content.layer512}`, ofBlob),
  read('GET', 'part of a blob', ({ content }) => `blobs/${content.layer.digest}`, {
    ...ofBlob,
    status: 206,
    headers: { range: 'bytes=0-9' },
  }),
  ...reads('tags', () => 'tags/list', { missing: { status: 404, code: 'NAME_UNKNOWN' } }),
  read('GET', 'page of tags', () => 'tags/list?n=1', {
    missing: { status: 404, code: 'NAME_UNKNOWN' },
    isMain: true,
  }),
  ...reads('referrers', ({ content }) => `referrers/${content.manifest.digest}`, {
    missing: { status: 200 },
  }),
  absent('GET', 'unknown tag', () => 'manifests/none', NO_MANIFEST),
  absent(
    'GET',
    'manifest of another repository',
    ({ foreign }) => `manifests/${foreign.manifest.digest}`,
    NO_MANIFEST,
    true,
  ),
  ...['GET', 'HEAD'].map((method) =>
    absent(
      method,
      'blob of another repository',
      ({ foreign }) => `blobs/${foreign.layer.digest}`,
      NO_BLOB,
      method === 'GET',
    ),
  ),
  absent(
    'GET',
    'referrers of another repository',
    ({ foreign }) => `referrers/${foreign.manifest.digest}`,
    { status: 200 },
  ),
];

/** Of the mirror alone: why a pull is answered as it is. */
export const EXPLANATION: Operation = {
  title: 'GET explanation',
  right: 'pull',
  isRead: true,
  isMain: true,
  send: ({ name: { spelling, ns } }) => ({
    method: 'GET',
    path: `/api/v1/explain?ref=${spelling}:${TAG}${ns === undefined ? '' : `&ns=${ns}`}`,
  }),
  told: () => ({ status: 200 }),
};
