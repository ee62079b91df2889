import { contentOf, LOOSE_TYPE, looseManifest, TAG } from './contents.ts';
import type { Told } from './model.ts';
import { CONTENT, type Name } from './names.ts';
import { NO_BLOB, NO_MANIFEST, type Operation, at, type Sent, type Target } from './operations.ts';

const NO_SESSION: Told = { status: 404, code: 'BLOB_UPLOAD_UNKNOWN' };
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
  session: 'own' | 'anothers' | 'foreign',
  method: string,
  status: number,
  isMain = false,
): Operation {
  // A repetition of one's own last request is answered like the first one where the repository has the blob.
  const bytes = session === 'foreign' ? Buffer.from('never pushed') : BYTES;
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
  told: ({ isThere, isReadOnly, isCache }) => {
    if (isCache) return isThere ? RESERVED : missing;
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
  ...(['own', 'anothers', 'foreign'] as const).flatMap((session) => [
    toSession(session, 'GET', 204, session !== 'own'),
    toSession(session, 'HEAD', 204),
    toSession(session, 'PATCH', 202),
    toSession(session, 'PUT', 201),
    toSession(session, 'DELETE', 204, session === 'own'),
  ]),
];
