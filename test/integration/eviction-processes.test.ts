import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { storedReferences } from '../../shared/content/removal/stored-references.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { CrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { type Digest, parseDigest } from '../../shared/oci/digest.ts';
import { deletingFolder, evictionFolder, evictionKey } from '../../shared/storage/object-keys.ts';
import { createS3Client, type StoreClient } from '../../shared/storage/s3/s3-client.ts';
import { S3BlobStore } from '../../shared/storage/s3/s3-blob-store.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { auditStore } from '../../shared/storage/testing/audit-store.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullImage, pushBlob, pushManifest } from '../support/registry-client.ts';
import { startTwinport, type TwinportProcess, withRedis } from '../support/registry-process.ts';
import type { CommandResult } from '../support/run-command.ts';
import { s3StorageConfig } from '../support/s3-storage-config.ts';
import { isFullRun } from '../support/sizes.ts';
import { type RedisServer, startRedis } from '../support/start-redis.ts';
import { type S3Server, startMinio } from '../support/start-s3.ts';
import { twinport } from '../support/twinport-command.ts';
import { waitFor } from '../support/wait-for.ts';

const ALL_POINTS: readonly CrashPoint[] = [
  'removal.final',
  'eviction.unlinked',
  'eviction.recorded',
  'removal.marked',
  'removal.deleted',
];
const POINTS = isFullRun() ? ALL_POINTS : ALL_POINTS.slice(0, 1);
/** What becomes of Redis in the middle of an eviction. */
const FAULTS = isFullRun() ? (['hangs', 'is killed'] as const) : (['hangs'] as const);
/** The waits of a minute take 1.2 seconds, or 3: a run that a busy machine holds up for longer rightly deletes nothing. */
const HASTE = { TWINPORT_REMOVAL_HASTE: isFullRun() ? '20' : '50' };
const PAUSE_MS = 250;
/** Of each that pushes: eviction lists all of them. */
const REPOSITORIES = 3;
const CACHED = 'library/app';
/** Pushes want what came lately, and what may be evicted is among that. */
const LATELY = 20;
const signal = new AbortController().signal;

interface Taken {
  readonly name: string;
  readonly tag: string;
  readonly image: FixtureImage;
}

describeWithTools(['minio', 'redis-server'], 'eviction by processes of their own', () => {
  const servers = new OwnedServers();
  let s3: S3Server;
  let client: StoreClient;
  let redis: RedisServer;
  let upstream: FakeUpstream;
  let push: TwinportProcess;
  let mirrors: readonly TwinportProcess[];

  beforeAll(async () => {
    [s3, redis, upstream] = await Promise.all([
      servers.own(startMinio()),
      servers.own(startRedis({ own: true })),
      servers.own(startFakeUpstream()),
    ]);
    client = createS3Client(s3StorageConfig(s3));
    const common = { storage: s3, redisUrl: redis.url, upstreamUrl: upstream.url, env: HASTE };
    push = await servers.own(startTwinport({ ...common, role: 'push' }));
    mirrors = await Promise.all(
      [1, 2].map(() => servers.own(startTwinport({ ...common, role: 'mirror' }))),
    );
  });
  afterAll(async () => {
    client.destroy();
    await servers.stopAll();
  });

  const evict = (env: Record<string, string> = {}): Promise<CommandResult> =>
    twinport('evict', s3, {
      ...HASTE,
      RUN_AS_MIRROR: 'true',
      ...withRedis(redis.url),
      UPSTREAM_URL: upstream.url,
      CACHE_MAX_BYTES: '1',
      CACHE_MIN_AGE_SECONDS: '0',
      CACHE_LOW_WATER_PERCENT: '0',
      ...env,
    });

  /** Takes Redis away when an eviction has begun to remove images, and gives it back after its end. */
  async function evictWithout(fault: (typeof FAULTS)[number]): Promise<void> {
    const records = new S3RecordStore(client, s3StorageConfig(s3));
    const begun = async (): Promise<number> =>
      (await records.list(evictionFolder, {}, signal)).length;
    const before = await begun();
    const evicting = evict();
    const isOver = evicting.then(() => true);
    await waitFor(
      async () =>
        (await begun()) > before || (await Promise.race([isOver, Promise.resolve(false)])),
      { what: `an eviction to begin, before Redis ${fault}`, timeoutMs: 240_000 },
    );
    if (fault === 'hangs') redis.pause();
    else await redis.stop();
    // Whether the budget is kept is the storm's matter; that it ends by itself is ours.
    expect((await evicting).code).not.toBe(-1);
    if (fault === 'hangs') redis.resume();
    else await redis.restart();
  }

  /** As docker pushes: what is there is not sent, what can be mounted is mounted. False when it was not taken. */
  async function pushOnce({ name, tag, image }: Taken): Promise<boolean> {
    const path = `${push.url}/v2/${name}/blobs`;
    try {
      for (const blob of image.blobs) {
        if ((await fetch(`${path}/${blob.digest}`, { method: 'HEAD' })).status === 200) continue;
        const mount = `${path}/uploads/?mount=${blob.digest}&from=mirror/${CACHED}`;
        const mounted = randomInt(2) === 0 ? await fetch(mount, { method: 'POST' }) : undefined;
        if (mounted?.status !== 201) await pushBlob(push.url, name, blob);
      }
      await pushManifest(push.url, name, tag, image.manifest);
      return true;
    } catch {
      return false;
    }
  }

  test('what was acknowledged stays pullable from both roles through kills of the evictor and a Redis that leaves', async () => {
    const cached: FixtureImage[] = [];
    const taken: Taken[] = [];
    const storm = { isOver: false };
    const filling = async (): Promise<void> => {
      for (let round = 0; !storm.isOver; round += 1) {
        const image = makeImage({ layerBytes: [2_000, 3_000] });
        upstream.addImage(CACHED, `t${round}`, image);
        const mirror = mirrors[round % mirrors.length]!;
        await pullImage(mirror.url, CACHED, `t${round}`).catch(() => undefined);
        cached.push(image);
        await delay(PAUSE_MS);
      }
    };
    const pushing = async (pusher: number): Promise<void> => {
      for (let round = 0; !storm.isOver; round += 1) {
        const image = cached.at(-randomInt(1, LATELY));
        const name = `team/p${pusher}-${round % REPOSITORIES}`;
        const one = image && { name, tag: `t${round}`, image };
        if (one && (await pushOnce(one))) taken.push(one);
        await delay(PAUSE_MS);
      }
    };
    const raging = Promise.all([filling(), pushing(1), pushing(2)]);
    try {
      for (const point of POINTS) {
        // There may have been nothing yet that nobody else needs.
        await waitFor(async () => (await evict({ TWINPORT_CRASH_POINT: point })).code === -1, {
          what: `an eviction that comes to ${point}`,
          timeoutMs: 240_000,
          everyMs: 500,
        });
      }
      for (const fault of FAULTS) await evictWithout(fault);
    } finally {
      storm.isOver = true;
      await raging;
    }
    expect((await evict()).stderr).toBe('');
    expect(taken.length).toBeGreaterThan(0);
    await Promise.all(
      taken.map(async ({ name, tag }) => {
        await pullImage(push.url, name, tag);
        for (const { url } of mirrors) await pullImage(url, `local/${name}`, tag);
      }),
    );

    const config = s3StorageConfig(s3);
    const records = new S3RecordStore(client, config);
    const blobs = new S3BlobStore(client, config);
    expect(await auditStore(records, blobs, {})).toEqual([]);
    const all = cached.flatMap((image) => [image.manifest, ...image.blobs]);
    const digests = new Set(all.map(({ digest }) => parseDigest(digest)!));
    const { catalog } = createStoreIndex(records, systemClock);
    const linked = await storedReferences(digests, { records, catalog }, signal);
    const recorded = await recordedIn(records);
    const lost: Digest[] = [];
    for (const digest of digests) {
      const isStored = (await blobs.stat(digest, signal)) !== undefined;
      if (linked.has(digest) && !isStored) lost.push(digest);
      // Somebody wanted to keep it: a later run looks again.
      if (!linked.has(digest) && isStored && !recorded.has(digest)) lost.push(digest);
    }
    expect(lost).toEqual([]);
    // Dead runs' last steps hold up nobody for long: the services drop their marks.
    await waitFor(
      async () =>
        (await records.list(deletingFolder, {}, signal)).every(
          ({ name }) => !name.endsWith('.removing'),
        ),
      { what: 'the marks of dead runs to go' },
    );
  });
});

/** What a later eviction looks at again. */
async function recordedIn(records: S3RecordStore): Promise<ReadonlySet<string>> {
  const recorded = new Set<string>();
  for (const { name } of await records.list(evictionFolder, {}, signal)) {
    const bytes = await records.get(evictionKey(name.replace(/\.json$/, '')), signal);
    const { digests } = JSON.parse(String(bytes)) as { readonly digests: readonly string[] };
    for (const digest of digests) recorded.add(digest);
  }
  return recorded;
}
