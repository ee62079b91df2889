import type { UploadReaper, UploadStore } from '../../storage/upload-store.ts';
import type { RemovalGuard } from './removal-guard.ts';

/** The upload store, whose commits the guard watches: they publish blobs, or find them there. */
export function guardedUploads(
  uploads: UploadStore & UploadReaper,
  guard: RemovalGuard,
): UploadStore & UploadReaper {
  return {
    create: (repository, algorithm, signal, id) =>
      uploads.create(repository, algorithm, signal, id),
    find: (repository, id, signal) => uploads.find(repository, id, signal),
    append: (session, offset, body, signal) => uploads.append(session, offset, body, signal),
    commit: (session, digest, signal) =>
      guard.whilePublished(digest, signal, () => uploads.commit(session, digest, signal)),
    cancel: (session, signal) => uploads.cancel(session, signal),
    reap: (repository, before, signal) => uploads.reap(repository, before, signal),
  };
}
