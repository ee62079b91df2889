/**
 * Decorators that tell an Observer of every operation of the store: its name, its seconds, and whether the store failed.
 * An operation that carries a body takes as long as the body does; an opened blob is timed until it is open.
 */
import type { Clock } from '../lifecycle/clock.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { StorageError, UploadUnknownError } from '../storage/errors.ts';
import type { RecordStore } from '../storage/record-store.ts';
import type { UploadReaper, UploadStore } from '../storage/upload-store.ts';
import type { Observer } from './observer.ts';

type Timed = <T>(operation: string, signal: AbortSignal, run: () => Promise<T>) => Promise<T>;

export function timedRecordStore(
  store: RecordStore,
  observer: Observer,
  clock: Clock,
): RecordStore {
  const timed = timer(observer, clock);
  return {
    get: (key, signal) => timed('record.get', signal, () => store.get(key, signal)),
    modifiedAt: (key, signal) =>
      timed('record.modifiedAt', signal, () => store.modifiedAt(key, signal)),
    put: (key, bytes, signal) => timed('record.put', signal, () => store.put(key, bytes, signal)),
    delete: (key, signal) => timed('record.delete', signal, () => store.delete(key, signal)),
    deleteTree: (folder, signal) =>
      timed('record.deleteTree', signal, () => store.deleteTree(folder, signal)),
    list: (folder, options, signal) =>
      timed('record.list', signal, () => store.list(folder, options, signal)),
  };
}

export function timedBlobStore(store: BlobStore, observer: Observer, clock: Clock): BlobStore {
  const timed = timer(observer, clock);
  return {
    stat: (digest, signal) => timed('blob.stat', signal, () => store.stat(digest, signal)),
    open: (digest, range, signal) =>
      timed('blob.open', signal, () => store.open(digest, range, signal)),
    read: (digest, maxBytes, signal) =>
      timed('blob.read', signal, () => store.read(digest, maxBytes, signal)),
    put: (digest, body, size, signal) =>
      timed('blob.put', signal, () => store.put(digest, body, size, signal)),
    delete: (digest, signal) => timed('blob.delete', signal, () => store.delete(digest, signal)),
  };
}

export function timedUploadStore(
  store: UploadStore & UploadReaper,
  observer: Observer,
  clock: Clock,
): UploadStore & UploadReaper {
  const timed = timer(observer, clock);
  return {
    create: (repository, algorithm, signal, id) =>
      timed('upload.create', signal, () => store.create(repository, algorithm, signal, id)),
    find: (repository, id, signal) =>
      timed('upload.find', signal, () => store.find(repository, id, signal)),
    append: (session, offset, body, signal) =>
      timed('upload.append', signal, () => store.append(session, offset, body, signal)),
    commit: (session, digest, signal) =>
      timed('upload.commit', signal, () => store.commit(session, digest, signal)),
    cancel: (session, signal) =>
      timed('upload.cancel', signal, () => store.cancel(session, signal)),
    reap: (repository, before, signal) =>
      timed('upload.reap', signal, () => store.reap(repository, before, signal)),
  };
}

function timer(observer: Observer, clock: Clock): Timed {
  return async (operation, signal, run) => {
    const startedMs = clock.monotonicMs();
    let isFault = false;
    try {
      return await run();
    } catch (error) {
      isFault = isStoreFault(error) && !signal.aborted;
      throw error;
    } finally {
      observer.store(operation, (clock.monotonicMs() - startedMs) / 1000, isFault);
    }
  };
}

/** Not the client's wrong digest or broken body, nor a session that somebody finished meanwhile. */
function isStoreFault(error: unknown): boolean {
  return error instanceof StorageError && !(error instanceof UploadUnknownError);
}
