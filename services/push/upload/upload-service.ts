import type { Readable } from 'node:stream';

import type { PushNames } from '../../../shared/content/push-names.ts';
import type { ProjectRecord, RegistryIndex } from '../../../shared/index/ports.ts';
import { crashPoint } from '../../../shared/lifecycle/crash-point.ts';
import type { Digest, DigestAlgorithm } from '../../../shared/oci/digest.ts';
import type { ProjectQuotas } from '../../../shared/management/quotas/project-quotas.ts';
import { RegistryError, registryError } from '../../../shared/oci/errors.ts';
import type { RepositoryName, UploadId } from '../../../shared/oci/reference.ts';
import type { BlobStat, BlobStore } from '../../../shared/storage/blob-store.ts';
import { UploadOffsetError } from '../../../shared/storage/errors.ts';
import type { UploadSession, UploadStore } from '../../../shared/storage/upload-store.ts';
import { upTo } from './up-to.ts';

/** How long a request waits for another one on the same session: a broken connection is noticed later than retried. */
const SESSION_WAIT_MS = 10_000;

/** Another process took the session over while this one worked on it. */
class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

/** Bytes that a client sent for a session. */
export interface Chunk {
  readonly body: Readable;
  /** Where the client says that they begin; undefined: where the session stands. */
  readonly offset: number | undefined;
  /** In bytes, where the client tells it. */
  readonly length: number | undefined;
}

/** Whether a blob may be read where a mount wants to take it from. */
type FindBlob = (
  repository: RepositoryName,
  digest: Digest,
  signal: AbortSignal,
) => Promise<BlobStat | undefined>;

export interface UploadServiceDependencies {
  readonly uploads: UploadStore;
  readonly blobs: BlobStore;
  readonly index: Pick<RegistryIndex, 'members' | 'leases'>;
  readonly names: PushNames;
  readonly quotas: Pick<ProjectQuotas, 'during'>;
  readonly findBlob: FindBlob;
}

/**
 * Brings blobs into repositories: bytes first, then the membership, so that a crash in between leaves bytes nobody
 * refers to and never a link to nothing. Requests on one session are serialised by a lease, whichever replica they
 * land on.
 */
export class UploadService {
  readonly #deps: UploadServiceDependencies;

  constructor(deps: UploadServiceDependencies) {
    this.#deps = deps;
  }

  /** Opens a session under an id that none has. Throws DENIED for names that may not be pushed to. */
  async start(
    repository: RepositoryName,
    id: UploadId,
    algorithm: DigestAlgorithm | undefined,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    await this.#deps.names.requirePushable(repository, signal);
    const session = await this.#deps.uploads.create(repository, algorithm, signal, id);
    crashPoint('upload.created');
    return session;
  }

  /** Stores a blob that came whole under the digest announced for it. Throws DigestMismatchError, SizeMismatchError. */
  async putWhole(
    repository: RepositoryName,
    digest: Digest,
    body: { readonly stream: Readable; readonly size: number | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    const { names, blobs, quotas } = this.#deps;
    const project = await names.requirePushable(repository, signal);
    const { stream, size } = body;
    const link = (): Promise<void> => this.#link(repository, digest, signal);
    if (size === undefined) {
      const stat = await blobs.put(digest, stream, size, signal);
      await quotas.during(project, { digest, size: stat.size }, signal, link);
      return;
    }
    await quotas.during(project, { digest, size }, signal, async () => {
      await blobs.put(digest, stream, size, signal);
      await link();
    });
  }

  /** Makes a blob of another repository belong to this one; false when it is not readable there. */
  async mount(
    repository: RepositoryName,
    from: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { names, findBlob, quotas, index } = this.#deps;
    const project = await names.requirePushable(repository, signal);
    const found = await findBlob(from, digest, signal);
    if (!found) return false;
    await quotas.during(project, { digest, size: found.size }, signal, () =>
      names.whileOpen(repository, signal, () =>
        index.members.add(repository, 'blob', digest, signal),
      ),
    );
    crashPoint('blob.linked');
    return true;
  }

  /** Throws BLOB_UPLOAD_UNKNOWN. */
  async status(
    repository: RepositoryName,
    id: UploadId,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    return (await this.#deps.uploads.find(repository, id, signal)) ?? unknownUpload(id);
  }

  /** Adds a chunk. Throws UploadOffsetError for one out of order; the session then stays as it is. */
  append(
    repository: RepositoryName,
    id: UploadId,
    chunk: Chunk,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    return this.#exclusively(repository, id, signal, async (held) => {
      const session = await this.status(repository, id, held);
      const project = await this.#deps.names.requireOpen(repository, held);
      return this.#append(session, chunk, project, held);
    }).catch(async (error: unknown) => {
      if (!(error instanceof LeaseLostError)) throw error;
      // Another went on with the session meanwhile: this chunk has missed its place, as one out of order has.
      throw new UploadOffsetError((await this.status(repository, id, signal)).offset);
    });
  }

  /**
   * Ends a session with its last chunk, if there is one: verifies, publishes, links. A repetition after success is
   * answered like the first, as long as the blob belongs to the repository. Throws DigestMismatchError; the session is
   * then gone.
   */
  commit(
    repository: RepositoryName,
    id: UploadId,
    digest: Digest,
    lastChunk: Chunk | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#exclusively(repository, id, signal, async (held) => {
      const found = await this.#deps.uploads.find(repository, id, held);
      if (!found) {
        if (await this.#isHeld(repository, digest, held)) return;
        unknownUpload(id);
      }
      const { names, quotas, uploads } = this.#deps;
      const project = await names.requireOpen(repository, held);
      const session = lastChunk ? await this.#append(found, lastChunk, project, held) : found;
      try {
        await quotas.during(project, { digest, size: session.offset }, held, async () => {
          await uploads.commit(session, digest, held);
          await this.#link(repository, digest, held);
        });
      } catch (error) {
        if (isDenied(error)) await uploads.cancel(session, held);
        throw error;
      }
    }).catch(askAgain);
  }

  /** Drops the session. Throws BLOB_UPLOAD_UNKNOWN. */
  cancel(repository: RepositoryName, id: UploadId, signal: AbortSignal): Promise<void> {
    return this.#exclusively(repository, id, signal, async (held) => {
      await this.#deps.uploads.cancel(await this.status(repository, id, held), held);
    }).catch(askAgain);
  }

  async #append(
    session: UploadSession,
    { body, offset, length }: Chunk,
    project: ProjectRecord,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    if (offset !== undefined && offset !== session.offset) {
      throw new UploadOffsetError(session.offset);
    }
    const { uploads } = this.#deps;
    const { quotaBytes } = project;
    let refused = tooLarge(project, session.offset + (length ?? 0));
    // Nobody has said how much will come.
    const isUntold = quotaBytes !== undefined && length === undefined;
    const sent = isUntold
      ? upTo(body, quotaBytes - session.offset, (bytes) => {
          refused = tooLarge(project, session.offset + bytes);
          return new Error('the project has no room for more');
        })
      : body;
    try {
      if (refused) throw refused;
      const appended = await uploads.append(session, session.offset, sent, signal);
      crashPoint('upload.appended');
      return appended;
    } catch (error) {
      if (!refused) throw error;
      await uploads.cancel(session, signal);
      throw refused;
    }
  }

  /** Its bytes may have taken long, and the project may take nothing any more. */
  async #link(repository: RepositoryName, digest: Digest, signal: AbortSignal): Promise<void> {
    crashPoint('upload.published');
    const { names, index } = this.#deps;
    await names.whileOpen(repository, signal, () =>
      index.members.add(repository, 'blob', digest, signal),
    );
    crashPoint('blob.linked');
  }

  async #isHeld(repository: RepositoryName, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { index, blobs } = this.#deps;
    if (!(await index.members.has(repository, 'blob', digest, signal))) return false;
    return (await blobs.stat(digest, signal)) !== undefined;
  }

  /** Runs the work while nobody else works on the session. Its signal also aborts when the lease is lost. */
  async #exclusively<Result>(
    repository: RepositoryName,
    id: UploadId,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const { leases } = this.#deps.index;
    const lease = await leases.acquire(`upload:${id}`, SESSION_WAIT_MS, signal);
    if (!lease) {
      const session = await this.status(repository, id, signal);
      throw new UploadOffsetError(session.offset);
    }
    try {
      return await work(AbortSignal.any([signal, lease.lost]));
    } catch (error) {
      if (!lease.lost.aborted) throw error;
      if (error instanceof UploadOffsetError) throw error;
      throw new LeaseLostError('the upload session was taken over', { cause: error });
    } finally {
      await lease.release();
    }
  }
}

/** What can never fit is refused before its bytes are kept. */
function tooLarge({ name, quotaBytes }: ProjectRecord, bytes: number): Error | undefined {
  if (quotaBytes === undefined || bytes <= quotaBytes) return undefined;
  return registryError('DENIED', {
    message: `the project ${name} has a quota of ${quotaBytes} bytes: a blob of ${bytes} does not fit`,
    detail: { project: name, quotaBytes, neededBytes: bytes },
  });
}

const isDenied = (error: unknown): boolean =>
  error instanceof RegistryError && error.code === 'DENIED';

/** A client that asks again finds what the other process made of the session. */
function askAgain(error: unknown): never {
  if (!(error instanceof LeaseLostError)) throw error;
  throw registryError('UNAVAILABLE', { headers: { 'Retry-After': '1' }, cause: error });
}

/** The answer where there is no such session, or none for who asks. */
export function unknownUpload(id: UploadId): never {
  throw registryError('BLOB_UPLOAD_UNKNOWN', { detail: { uuid: id } });
}
