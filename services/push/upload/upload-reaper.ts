import type { Leases } from '../../../shared/index/ports.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { Log } from '../../../shared/observability/observer.ts';
import { parseRepositoryName, type RepositoryName } from '../../../shared/oci/reference.ts';
import { repositoriesFolder, repositoryFolder } from '../../../shared/storage/object-keys.ts';
import type { RecordStore } from '../../../shared/storage/record-store.ts';
import type { UploadReaper } from '../../../shared/storage/upload-store.ts';

const ROUND_MS = 60 * 60 * 1000;

export interface UploadReaperLoopOptions {
  readonly records: RecordStore;
  readonly uploads: UploadReaper;
  readonly leases: Pick<Leases, 'acquire'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly uploadTtlSeconds: number;
}

/**
 * Removes abandoned upload sessions of all repositories, every hour until `signal` aborts (I7). Resolves when it has
 * stopped; a round that fails is logged and the next one tries again. Of several replicas one at a time does the work.
 */
export async function runUploadReaper(
  options: UploadReaperLoopOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await reapAlone(options, signal);
    await options.clock.sleep(ROUND_MS, signal).catch(() => undefined);
  }
}

async function reapAlone(options: UploadReaperLoopOptions, signal: AbortSignal): Promise<void> {
  const { leases, log } = options;
  try {
    const lease = await leases.acquire('upload-reaper', 0, signal);
    if (!lease) return;
    try {
      const sessions = await reapOnce(options, AbortSignal.any([signal, lease.lost]));
      if (sessions > 0) log.info({ sessions }, 'abandoned uploads were removed');
    } finally {
      await lease.release();
    }
  } catch (error) {
    if (!signal.aborted) log.warn({ err: error }, 'removing abandoned uploads failed');
  }
}

/** One round over the whole store; returns how many sessions it removed. */
export async function reapOnce(
  { records, uploads, clock, log, uploadTtlSeconds }: UploadReaperLoopOptions,
  signal: AbortSignal,
): Promise<number> {
  const before = new Date(clock.now().getTime() - uploadTtlSeconds * 1000);
  let sessions = 0;
  for await (const repository of repositoriesWithUploads(records, '', signal)) {
    try {
      sessions += await uploads.reap(repository, before, signal);
    } catch (error) {
      // One repository that cannot be read must not keep the others from being tidied.
      if (signal.aborted) throw error;
      log.warn({ repository, err: error }, 'removing abandoned uploads of a repository failed');
    }
  }
  return sessions;
}

/** The catalog does not list a repository whose first push was abandoned, so the folders themselves are walked. */
async function* repositoriesWithUploads(
  records: RecordStore,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<RepositoryName> {
  const folder = path === '' ? repositoriesFolder : repositoryFolder(path);
  const children = await records.list(folder, {}, signal);
  const repository = parseRepositoryName(path);
  if (repository && children.some(({ name }) => name === '_uploads')) yield repository;
  for (const { name, isFolder } of children) {
    if (!isFolder || name.startsWith('_')) continue;
    yield* repositoriesWithUploads(records, path === '' ? name : `${path}/${name}`, signal);
  }
}
