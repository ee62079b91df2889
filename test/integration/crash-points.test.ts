import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { CrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { type RedisServer, startRedis } from '../support/start-redis.ts';
import { startMinio, type S3Server } from '../support/start-s3.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { auditTestStore, type TestStorage } from './audit-test-store.ts';

/** Every point of a push and a delete; `:n` is the n-th time it is passed. */
const POINTS: readonly `${CrashPoint}${'' | `:${number}`}`[] = [
  'project.created',
  'upload.created',
  'upload.appended',
  'upload.published',
  'blob.linked',
  'blob.linked:2',
  'manifest.stored',
  'manifest.linked',
  'tag.history-written',
  'tag.current-written',
  'referrer.added',
  'tag.current-deleted',
  'referrer.removed',
  'manifest.tags-deleted',
  'manifest.unlinked',
  'blob.unlinked',
  'index.marked-dirty',
  'index.store-written',
  'index.installed',
  'index.marked-dirty:4',
  'index.store-written:4',
  'index.installed:4',
  'index.marked-dirty:7',
  'index.store-written:7',
  'index.installed:7',
];

const layer = Buffer.from('a layer'.repeat(1_000));
const config = Buffer.from('{"architecture":"amd64"}');
const describeBytes = (mediaType: string, bytes: Buffer): object => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});
const manifest = (fields: object = {}): Buffer =>
  Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: describeBytes('application/vnd.oci.image.config.v1+json', config),
      layers: [describeBytes('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
      ...fields,
    }),
  );
const image = manifest();
const referrer = manifest({
  artifactType: 'application/example',
  subject: describeBytes(MEDIA_TYPES.ociManifest, image),
});

/** What must be there or gone, as far as the answers said so before the crash. */
interface Acknowledged {
  readonly there: Set<string>;
  readonly gone: Set<string>;
}

/** Pushes an image and a referrer of it, then deletes tag, referrer, image and blob; ends at the first broken answer. */
async function pushAndDelete(url: string, repository: string, seen: Acknowledged): Promise<void> {
  const base = `${url}/v2/${repository}`;
  const ask = async (
    method: string,
    path: string,
    body?: Buffer,
    status?: number,
  ): Promise<Response> => {
    const answer = await fetch(path.startsWith('/') ? `${url}${path}` : `${base}/${path}`, {
      method,
      ...(body && { body: new Uint8Array(body) }),
      headers: path.startsWith('manifests/') ? { 'Content-Type': MEDIA_TYPES.ociManifest } : {},
    });
    await answer.arrayBuffer();
    if (status !== undefined)
      expect({ method, path, status: answer.status }).toEqual({ method, path, status });
    return answer;
  };
  const push = async (path: string, body: Buffer, digest: Digest): Promise<void> => {
    await ask('PUT', `manifests/${path}`, body, 201);
    seen.there.add(`manifests/${path}`).add(`manifests/${digest}`);
  };
  const remove = async (path: string): Promise<void> => {
    // Until it is answered, a delete may have happened or not.
    seen.there.delete(path);
    await ask('DELETE', path, undefined, 202);
    seen.gone.add(path);
  };
  const opened = await ask('POST', 'blobs/uploads/', undefined, 202);
  const patched = await ask('PATCH', opened.headers.get('location')!, layer, 202);
  await ask('PUT', `${patched.headers.get('location')!}?digest=${digestOf(layer)}`, undefined, 201);
  seen.there.add(`blobs/${digestOf(layer)}`);
  await ask('POST', `blobs/uploads/?digest=${digestOf(config)}`, config, 201);
  seen.there.add(`blobs/${digestOf(config)}`);
  await push('v1', image, digestOf(image));
  await push('v2', image, digestOf(image));
  await push(digestOf(referrer), referrer, digestOf(referrer));
  await remove('manifests/v1');
  await remove(`manifests/${digestOf(referrer)}`);
  seen.there.delete('manifests/v2');
  await remove(`manifests/${digestOf(image)}`);
  seen.gone.add('manifests/v2');
  await remove(`blobs/${digestOf(layer)}`);
}

/** Everything a client can ask about the repository, answered by one process. */
async function answersOf(url: string, repository: string): Promise<Record<string, unknown>> {
  const answers: Record<string, unknown> = {};
  for (const path of [
    'tags/list',
    'manifests/v1',
    'manifests/v2',
    `manifests/${digestOf(image)}`,
    `manifests/${digestOf(referrer)}`,
    `referrers/${digestOf(image)}`,
    `blobs/${digestOf(layer)}`,
    `blobs/${digestOf(config)}`,
  ]) {
    const answer = await fetch(`${url}/v2/${repository}/${path}`);
    const body = Buffer.from(await answer.arrayBuffer());
    const content = path === 'tags/list' && answer.ok ? withoutName(body) : body;
    answers[path] = answer.ok ? `${answer.status} ${digestOf(content)}` : answer.status;
  }
  return answers;
}

/** A list of tags repeats the name that was asked for. */
function withoutName(tagList: Buffer): Buffer {
  const { tags } = JSON.parse(tagList.toString()) as { tags?: string[] };
  return Buffer.from(JSON.stringify(tags));
}

const STORES: readonly (readonly [string, () => Promise<TestStorage>])[] = [
  [
    'files',
    () => {
      const dataDir = makeTempFolder('crash');
      return Promise.resolve({ storage: { dataDir }, close: () => removeTempFolder(dataDir) });
    },
  ],
  [
    'S3',
    async () => {
      const server: S3Server = await startMinio();
      return { storage: server, close: () => server.stop() };
    },
  ],
];

describe.each(STORES)('a push service on %s and Redis, killed at', (_, openStore) => {
  let store: TestStorage;
  let redis: RedisServer;
  /** Replicas that live on, with the name by which each knows a repository whether or not its project was made. */
  let survivors: { readonly url: string; readonly prefix: string }[];
  let processes: TwinportProcess[];
  let withoutRedis: TwinportProcess;
  let runs = 0;

  beforeAll(async () => {
    [store, redis] = await Promise.all([openStore(), startRedis({ own: true })]);
    const shared = { storage: store.storage, redisUrl: redis.url };
    const [push, mirror] = await Promise.all([
      startTwinport({ role: 'push', ...shared }),
      startTwinport({ role: 'mirror', ...shared }),
    ]);
    withoutRedis = await startTwinport({ role: 'push', storage: store.storage });
    processes = [push, mirror, withoutRedis];
    survivors = [
      { url: push.url, prefix: '' },
      { url: mirror.url, prefix: 'local/' },
    ];
  });
  afterAll(async () => {
    await Promise.all(processes.map((running) => running.stop()));
    await redis.stop();
    await store.close();
  });

  test.each(POINTS)(
    '%s leaves what it acknowledged, nothing half done, and the same answers from Redis and the store',
    async (point) => {
      runs += 1;
      const repository = `crash${runs}/app`;
      const victim = await startTwinport({
        role: 'push',
        storage: store.storage,
        redisUrl: redis.url,
        env: { TWINPORT_CRASH_POINT: point },
      });
      const seen: Acknowledged = { there: new Set(), gone: new Set() };
      await expect(pushAndDelete(victim.url, repository, seen)).rejects.toThrow('fetch failed');
      expect(await victim.ended).toEqual({ code: null, signal: 'SIGKILL' });
      await victim.stop();

      expect(await auditTestStore(store.storage)).toEqual([]);
      const truth = await answersOf(withoutRedis.url, repository);
      for (const path of seen.there)
        expect([path, truth[path]]).toEqual([path, expect.stringMatching(/^200 /)]);
      for (const path of seen.gone) expect([path, truth[path]]).toEqual([path, 404]);
      for (const { url, prefix } of survivors)
        expect(await answersOf(url, `${prefix}${repository}`)).toEqual(truth);
      await redis.flush();
      for (const { url, prefix } of survivors)
        expect(await answersOf(url, `${prefix}${repository}`)).toEqual(truth);

      const again: Acknowledged = { there: new Set(), gone: new Set() };
      await pushAndDelete(survivors[0]!.url, repository, again);
      const end = await answersOf(withoutRedis.url, repository);
      for (const path of again.gone) expect([path, end[path]]).toEqual([path, 404]);
      for (const { url, prefix } of survivors)
        expect(await answersOf(url, `${prefix}${repository}`)).toEqual(end);
    },
  );
});
