import { randomInt, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { OPEN_ACCESS } from '../../shared/auth/access.ts';
import { AbandonedMarks } from '../../shared/content/removal/abandoned-marks.ts';
import { guardedUploads } from '../../shared/content/removal/guarded-uploads.ts';
import type { RemovalTiming } from '../../shared/content/removal/removal-timing.ts';
import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { type HttpServer, startHttpServer } from '../../shared/http/start-http-server.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import { send } from '../../shared/http/testing/http-client.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { FilesystemUploadStore } from '../../shared/storage/filesystem/filesystem-upload-store.ts';
import { createS3Client, type StoreClient } from '../../shared/storage/s3/s3-client.ts';
import { S3BlobStore } from '../../shared/storage/s3/s3-blob-store.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { S3UploadStore } from '../../shared/storage/s3/s3-upload-store.ts';
import { deletingFolder } from '../../shared/storage/object-keys.ts';
import { auditStore } from '../../shared/storage/testing/audit-store.ts';
import type { UploadReaper, UploadStore } from '../../shared/storage/upload-store.ts';
import {
  digestIn,
  type LabStores,
  markCached,
  openProcess,
  putImage,
} from '../../services/mirror/eviction/testing/eviction-lab.ts';
import { createPushApp } from '../../services/push/create-push-app.ts';
import { PUSH_CONFIG } from '../../services/push/testing/start-push.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type FixtureImage, makeImage } from '../support/oci-fixtures.ts';
import { sizeOf } from '../support/sizes.ts';
import { s3StorageConfig } from '../support/s3-storage-config.ts';
import { type S3Server, startMinio } from '../support/start-s3.ts';

/**
 * As the real ones, a hundred times shorter, with a wait that many pushes fall into. What ends the steps of living runs
 * is longer: on a busy machine they take seconds, and would remove nothing.
 */
const TIMING: RemovalTiming = {
  viewMs: 100,
  relianceMs: 400,
  finalMs: 2_000,
  settleMs: 5_000,
  abandonedFinalMs: 15_000,
  abandonedMs: 30_000,
  lookMs: 1_000,
  usesToldMs: 0,
};
/** It ends when it was one, and on a machine that is busy otherwise when it was a small one, however long that takes. */
const LEAST_MS = sizeOf('removalStormSeconds') * 1000;
const STORM = {
  ...{ leastMs: LEAST_MS, enough: 25 },
  ...{ busyMs: LEAST_MS + 38_000, least: 3 },
  mostMs: LEAST_MS + 150_000,
};
const STORM_TIMEOUT_MS = STORM.mostMs + 240_000;
const IMAGES = 80;
/** Of each that pushes: so few that eviction, which lists them all, is not slowed down. */
const REPOSITORIES = 12;
/** Between two of the same loop: where everything is wanted all the time, nothing is ever evicted. */
const PAUSE_MS = 30;
const unending = new AbortController().signal;
const CACHED = 'mirror/library/storm' as RepositoryName;

interface StormStores extends LabStores {
  readonly uploads: UploadStore & UploadReaper;
}

/** A push service with its own index and its own view of what is being removed, as another replica has it. */
async function startReplica(stores: StormStores, lifetime: AbortSignal) {
  const process = openProcess(stores, systemClock, { timing: TIMING, lifetime });
  const { log, observer } = process.edge;
  const role = createPushApp(
    {
      records: stores.records,
      blobs: process.blobs,
      index: process.index,
      access: OPEN_ACCESS,
      clock: systemClock,
      log,
      observer,
      shutdown: lifetime,
    },
    guardedUploads(stores.uploads, process.guard),
    PUSH_CONFIG,
  );
  await role.start();
  const app = { host: '127.0.0.1', port: 0, idleTimeoutSeconds: 30, log, app: role.app };
  return { role, server: await startHttpServer(app) };
}

interface Pushed {
  readonly name: string;
  readonly tag: string;
  readonly image: FixtureImage;
}

/** As docker pushes: what is there is not sent, what can be mounted is mounted. Undefined when it was not taken. */
async function pushImage(
  ports: readonly number[],
  { name, tag, image }: Pushed,
): Promise<Pushed | undefined> {
  const port = (): number => ports[randomInt(ports.length)]!;
  for (const { digest, bytes } of image.blobs) {
    const path = `/v2/${name}/blobs`;
    if ((await send(port(), `${path}/${digest}`, { method: 'HEAD' })).status === 200) continue;
    const way = randomInt(3);
    if (way === 0) {
      const mount = `${path}/uploads/?mount=${digest}&from=${CACHED}`;
      if ((await send(port(), mount, { method: 'POST' })).status === 201) continue;
    }
    if (way === 1) {
      const started = await send(port(), `${path}/uploads/`, { method: 'POST' });
      const location = String(started.headers.location);
      const put = `${location}?digest=${digest}`;
      if ((await send(port(), put, { method: 'PUT', body: bytes })).status === 201) continue;
      return undefined;
    }
    const whole = `${path}/uploads/?digest=${digest}`;
    if ((await send(port(), whole, { method: 'POST', body: bytes })).status !== 201) {
      return undefined;
    }
  }
  const { bytes, mediaType } = image.manifest;
  const answer = await send(port(), `/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: bytes,
  });
  return answer.status === 201 ? { name, tag, image } : undefined;
}

/** Everything of the image but what the other one of the repository needs too. */
async function deleteImage(port: number, { name, image }: Pushed, other?: Pushed): Promise<void> {
  const needed = new Set(
    [other?.image.manifest, ...(other?.image.blobs ?? [])].map((part) => part?.digest),
  );
  for (const { digest } of [image.manifest, ...image.blobs]) {
    if (needed.has(digest)) continue;
    const kind = digest === image.manifest.digest ? 'manifests' : 'blobs';
    await send(port, `/v2/${name}/${kind}/${digest}`, { method: 'DELETE' });
  }
}

/** Whether a client gets all of it, byte for byte. */
async function isPullable(port: number, { name, tag, image }: Pushed): Promise<boolean> {
  const manifest = await send(port, `/v2/${name}/manifests/${tag}`);
  if (!manifest.body.equals(image.manifest.bytes)) return false;
  for (const { digest, bytes } of image.blobs) {
    const blob = await send(port, `/v2/${name}/blobs/${digest}`);
    if (blob.status !== 200 || !blob.body.equals(bytes)) return false;
  }
  return true;
}

async function storm(stores: StormStores): Promise<void> {
  const lifetime = new AbortController();
  const { signal } = lifetime;
  const replicas = await Promise.all([1, 2].map(() => startReplica(stores, signal)));
  const servers: HttpServer[] = replicas.map(({ server }) => server);
  const ports = servers.map(({ port }) => port);
  try {
    await rage(stores, ports, signal);
    const violations = await auditStore(stores.records, stores.blobs, {});
    expect(violations).toEqual([]);
  } finally {
    await Promise.all(servers.map((server) => server.close(0)));
    lifetime.abort();
    await Promise.all(replicas.map(({ role }) => role.close()));
  }
}

async function rage(
  stores: StormStores,
  ports: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const images = Array.from({ length: IMAGES }, () => makeImage({ layerBytes: [2_000, 3_000] }));
  const before = { name: 'kept/app', tag: '1', image: makeImage() };
  expect(await pushImage(ports, before)).toBeDefined();

  const mirror = openProcess(stores, systemClock, { timing: TIMING, lifetime: signal });
  await markCached(mirror, CACHED);
  const beganAt = Date.now();
  let taken = 0;
  let removed = 0;
  const isOver = (): boolean => {
    const ms = Date.now() - beganAt;
    const wanted = ms > STORM.busyMs ? STORM.least : STORM.enough;
    return ms > STORM.mostMs || (ms > STORM.leastMs && Math.min(taken, removed) >= wanted);
  };
  const filling = async (): Promise<void> => {
    while (!isOver()) {
      const image = images[randomInt(IMAGES)]!;
      // A fill that meets the removal of its own blob fails, and the next pull begins another.
      await putImage(mirror, CACHED, 'x', image).catch(() => undefined);
      await systemClock.sleep(PAUSE_MS, signal);
    }
  };
  const push = async (name: string): Promise<Pushed | undefined> => {
    const image = images[randomInt(IMAGES)]!;
    const pushed = await pushImage(ports, { name, tag: '1', image });
    if (!pushed) return undefined;
    taken += 1;
    await systemClock.sleep(PAUSE_MS, signal);
    expect(await isPullable(ports[0]!, pushed)).toBe(true);
    return pushed;
  };
  const pushing = async (): Promise<void> => {
    const own = randomUUID();
    const kept = new Map<string, Pushed>();
    for (let round = 0; !isOver(); round += 1) {
      const name = `team/${own}-${round % REPOSITORIES}`;
      const before = kept.get(name);
      if (before) {
        expect(await isPullable(ports[0]!, before)).toBe(true);
        await deleteImage(ports[1]!, before);
        kept.delete(name);
      }
      const first = await push(name);
      // The tag moves to another image.
      const second = randomInt(4) === 0 ? await push(name) : undefined;
      const current = second ?? first;
      if (first && first !== current) await deleteImage(ports[1]!, first, current);
      if (!current) continue;
      // A delete makes the next push meet an eviction again, since nobody links it any more.
      if (randomInt(10) === 0) kept.set(name, current);
      else await deleteImage(ports[1]!, current);
    }
    for (const pushed of kept.values()) expect(await isPullable(ports[0]!, pushed)).toBe(true);
  };
  const evicting = async (): Promise<void> => {
    const evictor = openProcess(stores, systemClock, { timing: TIMING, lifetime: signal });
    const abandoned = new AbandonedMarks({ ...evictor, clock: systemClock, timing: TIMING });
    while (!isOver()) {
      await abandoned.drop(signal);
      removed += (await evictor.eviction().run(signal)).blobs;
    }
  };
  await Promise.all([filling(), pushing(), pushing(), pushing(), evicting(), evicting()]);

  expect(await isPullable(ports[0]!, before)).toBe(true);
  // It was a storm: pushes were taken, and bytes that they might have wanted went.
  expect(taken).toBeGreaterThanOrEqual(STORM.least);
  expect(removed).toBeGreaterThanOrEqual(STORM.least);
}

/** A client that reads slowly while the blob that it reads is evicted. */
async function readWhileEvicted(stores: StormStores): Promise<void> {
  const mirror = openProcess(stores, systemClock, { timing: TIMING });
  const repository = 'mirror/library/slow' as RepositoryName;
  await markCached(mirror, repository);
  const image = makeImage({ layerBytes: [8 * 1024 * 1024] });
  await putImage(mirror, repository, '1', image);
  const { bytes, digest } = image.blobs.at(-1)!;
  const opened = await mirror.blobs.open(digestIn({ digest }), undefined, unending);
  const reader = opened!.stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const read = [(await reader.next()).value as Buffer];
  // What came just now is left alone for a moment.
  await until(async () => {
    const { units } = (await mirror.eviction().survey(unending)).plan;
    return units.some(
      (unit) => unit.repository === repository && unit.needs.includes(digestIn({ digest })),
    );
  });
  const run = { isOver: false };
  const evicting = mirror
    .eviction()
    .run(unending)
    .finally(() => (run.isOver = true));
  evicting.catch(() => undefined);
  const marks = async (): Promise<string[]> =>
    (await stores.records.list(deletingFolder, {}, unending)).map(({ name }) => name);
  // The delete comes next, or is done. MinIO lets it wait for the reader, a file system does not.
  await until(async () => (await marks()).some((name) => name.endsWith('.removing')) || run.isOver);
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
    read.push(next.value);
  }
  expect(Buffer.concat(read).equals(bytes)).toBe(true);
  expect((await evicting).blobs).toBeGreaterThanOrEqual(3);
  expect(await stores.blobs.stat(digestIn({ digest }), unending)).toBeUndefined();
}

describe('eviction without any grace, over files', () => {
  let store: TempStore;
  let stores: StormStores;
  beforeAll(async () => {
    store = await createTempStore();
    stores = { ...store, uploads: new FilesystemUploadStore(store.folder, systemClock) };
  });
  afterAll(() => store.remove());

  test(
    'in a storm of pushes, mounts and fills no 201 is given for what cannot be pulled',
    () => storm(stores),
    STORM_TIMEOUT_MS,
  );

  test('a pull that is running keeps its bytes', () => readWhileEvicted(stores));
});

describeWithTools(['minio'], 'eviction without any grace, over a bucket', () => {
  let server: S3Server;
  let client: StoreClient;
  let stores: StormStores;
  beforeAll(async () => {
    server = await startMinio();
    const config = s3StorageConfig(server);
    client = createS3Client(config);
    stores = {
      records: new S3RecordStore(client, config),
      blobs: new S3BlobStore(client, config),
      uploads: new S3UploadStore(client, config),
    };
  });
  afterAll(async () => {
    client.destroy();
    await server.stop();
  });

  test(
    'in a storm of pushes, mounts and fills no 201 is given for what cannot be pulled',
    () => storm(stores),
    STORM_TIMEOUT_MS,
  );

  test('a pull that is running keeps its bytes', () => readWhileEvicted(stores));
});
