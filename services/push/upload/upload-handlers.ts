import {
  type Digest,
  type DigestAlgorithm,
  parseDigest,
  parseDigestAlgorithm,
} from '../../../shared/oci/digest.ts';
import { registryError } from '../../../shared/oci/errors.ts';
import { parseChunkRange } from '../../../shared/oci/range-header.ts';
import {
  parseRepositoryName,
  type RepositoryName,
  type UploadId,
} from '../../../shared/oci/reference.ts';
import type { Answer } from '../../../shared/http/answer.ts';
import { HEADERS } from '../../../shared/http/headers.ts';
import { bodyLength, hasBody } from '../../../shared/http/request-body.ts';
import type { V2Exchange, V2Handler, V2Handlers } from '../../../shared/http/v2-exchange.ts';
import { UploadOffsetError } from '../../../shared/storage/errors.ts';
import type { UploadSession } from '../../../shared/storage/upload-store.ts';
import { isUploadOf, newUploadId } from './upload-owner.ts';
import { type Chunk, unknownUpload, type UploadService } from './upload-service.ts';

type UploadOperation =
  'uploadStart' | 'uploadStatus' | 'uploadAppend' | 'uploadCommit' | 'uploadCancel';

type StartExchange = Parameters<V2Handler<'uploadStart'>>[0];
type SessionExchange = Pick<V2Exchange, 'body' | 'header' | 'http' | 'principal'> & {
  readonly request: { readonly name: RepositoryName; readonly id: UploadId };
};

/** The push half of the distribution API for blobs (spec.md#pushing-blobs). */
export function createUploadHandlers(
  uploads: UploadService,
): Required<Pick<V2Handlers, UploadOperation>> {
  return {
    uploadStart: (exchange) => startUpload(uploads, exchange),
    uploadStatus: async (exchange) => {
      const { name, id } = ownSession(exchange);
      const session = await uploads.status(name, id, exchange.signal);
      await exchange.send({ status: 204, headers: sessionHeaders(session) });
    },
    uploadAppend: async (exchange) => {
      const { name, id } = ownSession(exchange);
      const chunk = requireChunk(exchange);
      const session = await inOrder(exchange, () =>
        uploads.append(name, id, chunk, exchange.signal),
      );
      await exchange.send({ status: 202, headers: sessionHeaders(session) });
    },
    uploadCommit: async (exchange) => {
      const { name, id } = ownSession(exchange);
      const digest = requireDigest(exchange.request.query.get('digest'));
      const last = hasBody(exchange.http) ? requireChunk(exchange) : undefined;
      await inOrder(exchange, () => uploads.commit(name, id, digest, last, exchange.signal));
      await exchange.send(created(name, digest));
    },
    uploadCancel: async (exchange) => {
      const { name, id } = ownSession(exchange);
      await inOrder(exchange, () => uploads.cancel(name, id, exchange.signal));
      await exchange.send({ status: 204 });
    },
  };
}

/** Throws BLOB_UPLOAD_UNKNOWN for a session that somebody else has begun, whether or not there is one. */
function ownSession({ request, principal }: SessionExchange): SessionExchange['request'] {
  return isUploadOf(request.id, request.name, principal) ? request : unknownUpload(request.id);
}

/** Mounts, takes a whole blob, or opens a session, by what the query asks for. */
async function startUpload(uploads: UploadService, exchange: StartExchange): Promise<void> {
  const { request, signal } = exchange;
  const { name, query } = request;
  const mount = query.get('mount');
  const digest = query.get('digest');
  if (mount !== null) {
    if (await isMounted(uploads, exchange, requireDigest(mount))) {
      await exchange.send(created(name, requireDigest(mount)));
      return;
    }
  } else if (digest !== null) {
    const expected = requireDigest(digest);
    const body = { stream: exchange.body, size: bodyLength(exchange.http) };
    await uploads.putWhole(name, expected, body, signal);
    await exchange.send(created(name, expected));
    return;
  }
  const id = newUploadId(name, exchange.principal);
  const session = await uploads.start(name, id, announcedAlgorithm(query), signal);
  await exchange.send({ status: 202, headers: sessionHeaders(session) });
}

/** A mount that cannot be is no error: the client uploads instead, and learns nothing of what it may not read. */
async function isMounted(
  uploads: UploadService,
  exchange: StartExchange,
  digest: Digest,
): Promise<boolean> {
  const { request, signal } = exchange;
  const from = parseRepositoryName(request.query.get('from') ?? '');
  if (!from) return false;
  const mayRead = await exchange.allows({ type: 'repository', name: from, action: 'pull' });
  return mayRead && uploads.mount(request.name, from, digest, signal);
}

function announcedAlgorithm(query: URLSearchParams): DigestAlgorithm | undefined {
  const announced = query.get('digest-algorithm');
  if (announced === null) return undefined;
  const algorithm = parseDigestAlgorithm(announced);
  if (algorithm) return algorithm;
  throw registryError('DIGEST_INVALID', {
    message: 'the digest algorithm is not supported: use sha256 or sha512',
  });
}

function requireDigest(input: string | null): Digest {
  const digest = parseDigest(input ?? '');
  if (digest) return digest;
  throw registryError('DIGEST_INVALID', {
    message: input === null ? 'the digest parameter is missing' : 'not a sha256 or sha512 digest',
  });
}

/** The body with its place. Throws when `Content-Range` is malformed or does not fit the length of the body. */
function requireChunk(exchange: SessionExchange): Chunk {
  const header = exchange.header('content-range');
  const length = bodyLength(exchange.http);
  if (header === undefined) return { body: exchange.body, offset: undefined, length };
  const range = parseChunkRange(header);
  if (!range) {
    throw registryError('BLOB_UPLOAD_INVALID', {
      message: 'Content-Range must be <first byte>-<last byte>',
    });
  }
  if (length !== undefined && length !== range.last - range.first + 1) {
    throw registryError('SIZE_INVALID', {
      message: 'Content-Range and Content-Length contradict each other',
    });
  }
  return { body: exchange.body, offset: range.first, length };
}

/** Tells a client whose chunk came out of order where its session stands, so that it can go on (spec.md, end-5). */
async function inOrder<Result>(
  { request }: SessionExchange,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UploadOffsetError)) throw error;
    const { offset } = error;
    throw registryError('BLOB_UPLOAD_INVALID', {
      status: 416,
      message: error.message,
      headers: sessionHeaders({ repository: request.name, id: request.id, offset }),
      cause: error,
    });
  }
}

/** An empty session says `0-0` like one of one byte: the form has no word for nothing, and clients know this one. */
const sessionHeaders = (session: Pick<UploadSession, 'repository' | 'id' | 'offset'>) => ({
  [HEADERS.location]: `/v2/${session.repository}/blobs/uploads/${session.id}`,
  [HEADERS.range]: `0-${Math.max(session.offset - 1, 0)}`,
  [HEADERS.uploadUuid]: session.id,
});

const created = (name: RepositoryName, digest: Digest): Answer => ({
  status: 201,
  headers: {
    [HEADERS.location]: `/v2/${name}/blobs/${digest}`,
    [HEADERS.contentDigest]: digest,
  },
});
