import { contentOf, LOOSE_TYPE, looseManifest, TAG } from './contents.ts';
import type { Right, Told } from './model.ts';
import { CONTENT, type Name } from './names.ts';

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
  /** An upload session of the repository, or of another one; for names that have none one that is nobody's. */
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
  /** The session that it is sent to. */
  readonly session?: 'own' | 'foreign';
  /** What it reads beside what it changes. */
  readonly source?: 'public' | 'secret' | 'others' | 'absent';
}

const at = ({ name: { spelling, ns } }: Target, rest: string): string =>
  `/v2/${spelling}/${rest}${ns === undefined ? '' : `${rest.includes('?') ? '&' : '?'}ns=${ns}`}`;

const NO_MANIFEST: Told = { status: 404, code: 'MANIFEST_UNKNOWN' };
const NO_BLOB: Told = { status: 404, code: 'BLOB_UNKNOWN' };
const NO_SESSION: Told = { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' };

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
  told: ({ always }) => always ?? told,
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

const RESERVED: Told = { status: 403, code: 'DENIED' };

/** Where nothing is pushed by a name, whoever may is told so; what is not there cannot be deleted or gone on with. */
const unlessReserved = (told: Told, reserved: Told = RESERVED) =>
  function toldTo({ isReadOnly }: Name): Told {
    return isReadOnly ? reserved : told;
  };

const putLoose = (title: string, rest: (mark: string) => string, isMain = false): Operation => ({
  title,
  right: 'push',
  ...(isMain && { isMain }),
  send: (target) => ({
    method: 'PUT',
    path: at(target, `manifests/${rest(target.mark)}`),
    headers: { 'content-type': LOOSE_TYPE },
    body: looseManifest(target.mark).bytes,
  }),
  told: unlessReserved({ status: 201 }),
});

const mount = (source: 'public' | 'secret' | 'others' | 'absent', isMain = false): Operation => ({
  title: `POST mount from ${source}`,
  right: 'push',
  source,
  ...(isMain && { isMain }),
  send: (target) => {
    const { digest } = CONTENT[source === 'absent' ? 'secret' : source].mountable;
    return {
      method: 'POST',
      path: at(target, `blobs/uploads/?mount=${digest}&from=${source}/app`),
    };
  },
  // To those who may not read the source.
  told: unlessReserved({ status: 202 }),
});

const BYTES = Buffer.from('0123456789');

function toSession(
  session: 'own' | 'foreign',
  method: string,
  status: number,
  isMain = false,
): Operation {
  // A repetition of the last request is answered like the first one where the repository has the blob.
  const bytes = session === 'own' ? BYTES : Buffer.from('never pushed');
  const query = method === 'PUT' ? `?digest=${contentOf(bytes).digest}` : '';
  const hasBody = method === 'PUT' || method === 'PATCH';
  return {
    title: `${method} ${session} session`,
    right: 'push',
    session,
    ...(isMain && { isMain }),
    send: (target) => ({
      method,
      path: at(target, `blobs/uploads/${target.session}${query}`),
      ...(hasBody && { body: BYTES }),
    }),
    told: (name) =>
      session === 'own' && name.isThere && !name.isReadOnly ? { status } : NO_SESSION,
  };
}

const blobOf = (mark: string) => contentOf(Buffer.from(`the blob ${mark}`));

/** `missing`: of a repository that has nothing; there only what was put there is deleted. */
const removal = (
  title: string,
  missing: Told,
  {
    rest,
    real,
    before,
  }: {
    readonly rest: (mark: string) => string;
    /** What really is there, for those who may not. */
    readonly real: (name: Name) => string;
    readonly before: (target: Target) => readonly Sent[];
  },
  isMain = false,
): Operation => ({
  title: `DELETE ${title}`,
  right: 'delete',
  ...(isMain && { isMain }),
  send: (target) => ({
    method: 'DELETE',
    path: at(target, target.mark === '' ? real(target.name) : rest(target.mark)),
  }),
  told: ({ isThere, isReadOnly, place }) => {
    // docs/mirror.md: what is cached is evicted, not deleted.
    if (place.kind === 'upstream') return RESERVED;
    return isThere && !isReadOnly ? { status: 202 } : missing;
  },
  before,
});

const pushLoose = (target: Target, reference: string): Sent => ({
  method: 'PUT',
  path: at(target, `manifests/${reference}`),
  headers: { 'content-type': LOOSE_TYPE },
  body: looseManifest(target.mark).bytes,
});

export const WRITE_OPERATIONS: readonly Operation[] = [
  putLoose('PUT manifest by tag', (mark) => (mark === '' ? TAG : `t-${mark}`), true),
  putLoose('PUT manifest by digest', (mark) => looseManifest(mark).digest),
  putLoose('PUT manifest by digest with a tag', (mark) => {
    const tag = mark === '' ? TAG : `u-${mark}`;
    return `${looseManifest(mark).digest}?tag=${tag}`;
  }),
  removal(
    'tag',
    NO_MANIFEST,
    {
      rest: (mark) => `manifests/d-${mark}`,
      real: () => `manifests/${TAG}`,
      before: (target) => [pushLoose(target, `d-${target.mark}`)],
    },
    true,
  ),
  removal('manifest', NO_MANIFEST, {
    rest: (mark) => `manifests/${looseManifest(mark).digest}`,
    real: ({ content }) => `manifests/${content.manifest.digest}`,
    before: (target) => [pushLoose(target, looseManifest(target.mark).digest)],
  }),
  removal(
    'blob',
    NO_BLOB,
    {
      rest: (mark) => `blobs/${blobOf(mark).digest}`,
      real: ({ content }) => `blobs/${content.layer.digest}`,
      before: (target) => {
        const { bytes, digest } = blobOf(target.mark);
        const path = at(target, `blobs/uploads/?digest=${digest}`);
        return [{ method: 'POST', path, body: bytes }];
      },
    },
    true,
  ),
  {
    title: 'POST upload',
    right: 'push',
    isMain: true,
    send: (target) => ({ method: 'POST', path: at(target, 'blobs/uploads/') }),
    told: unlessReserved({ status: 202 }),
  },
  {
    title: 'POST whole blob',
    right: 'push',
    send: (target) => {
      const path = at(target, `blobs/uploads/?digest=${contentOf(BYTES).digest}`);
      return { method: 'POST', path, body: BYTES };
    },
    told: unlessReserved({ status: 201 }),
  },
  mount('public'),
  mount('secret', true),
  mount('others'),
  mount('absent'),
  ...(['own', 'foreign'] as const).flatMap((session) => [
    toSession(session, 'GET', 204, session === 'foreign'),
    toSession(session, 'HEAD', 204),
    toSession(session, 'PATCH', 202),
    toSession(session, 'PUT', 201),
    toSession(session, 'DELETE', 204, session === 'own'),
  ]),
];
