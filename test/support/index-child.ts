/**
 * A process with one replica of the index that performs one mutation and is killed at a crash point on the way:
 * `node index-child.ts <folder> <redis url> <crash point> <set|delete|add> <repository>`. Ends with 0 when it survived.
 */
import { digestOfText, tagOf } from '../../shared/index/testing/index-names.ts';
import { createRedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { armCrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { UNOBSERVED } from '../../shared/observability/observer.ts';
import { parseRepositoryName } from '../../shared/oci/reference.ts';
import { FilesystemRecordStore } from '../../shared/storage/filesystem/filesystem-record-store.ts';

const [folder, url, point, change, name] = process.argv.slice(2) as [
  string,
  string,
  string,
  'set' | 'delete' | 'add',
  string,
];
const records = new FilesystemRecordStore(folder);
const ignore = (): void => undefined;
const shutdown = new AbortController();
const index = await createRedisIndex({
  url,
  inner: createStoreIndex(records, systemClock),
  records,
  clock: systemClock,
  log: { info: ignore, warn: ignore, error: ignore, debug: ignore },
  observer: UNOBSERVED,
  trustSeconds: 20,
  timing: { commandMs: 5_000 },
  shutdown: shutdown.signal,
});
const repository = parseRepositoryName(name);
if (!repository) throw new Error('the repository has no name');
armCrashPoint(point);
const { signal } = shutdown;
if (change === 'set')
  await index.tags.set(repository, tagOf('latest'), digestOfText('new'), signal);
if (change === 'delete') await index.tags.delete(repository, tagOf('latest'), signal);
if (change === 'add') await index.members.add(repository, 'manifest', digestOfText('old'), signal);
await index.close();
