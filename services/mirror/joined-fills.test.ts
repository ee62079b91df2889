import { once } from 'node:events';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { openAnswer } from '../../shared/http/testing/http-client.ts';
import { until } from '../../shared/http/testing/recorded-edge.ts';
import type { Leases } from '../../shared/index/ports.ts';
import { ProcessLeases } from '../../shared/index/store/process-leases.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { BlobStore } from '../../shared/storage/blob-store.ts';
import { StorageError } from '../../shared/storage/errors.ts';
import { withPut } from '../../shared/storage/with-put.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureBlob, randomBlob } from '../../test/support/oci-fixtures.ts';
import { isLinked } from './testing/is-linked.ts';
import {
  startTestMirror,
  type TestMirror,
  type TestMirrorOptions,
} from './testing/start-test-mirror.ts';
import { withoutPut } from './testing/without-put.ts';

const MIB = 1024 * 1024;
const unending = new AbortController().signal;

/** Two mirrors of one store that know each other by shared leases, as workers or replicas do. */
describe('downloads of two mirrors', () => {
  let upstream: FakeUpstream;
  let store: TempStore;
  let leases: Leases;
  let mirrors: TestMirror[];
  let layer: FixtureBlob;

  beforeEach(async () => {
    upstream = await startFakeUpstream();
    layer = randomBlob(2 * MIB);
    upstream.addBlob('library/hello', layer.digest, layer.bytes);
    store = await createTempStore();
    leases = programLeases();
    mirrors = [];
  });

  afterEach(async () => {
    await Promise.all(mirrors.map((mirror) => mirror.stop()));
    await upstream.stop();
    await store.remove();
  });

  async function start(options: TestMirrorOptions = {}): Promise<TestMirror> {
    const mirror = await startTestMirror(upstream.url, {
      store,
      programLeases: leases,
      ...options,
    });
    mirrors.push(mirror);
    return mirror;
  }

  const path = (name = 'hello'): string => `/v2/${name}/blobs/${layer.digest}`;
  const gets = (name = 'hello'): number =>
    upstream.count('GET', `/v2/library/${name}/blobs/${layer.digest}`);
  const isKept = (name = 'hello'): Promise<boolean> =>
    isLinked({ store }, layer.digest, `mirror/library/${name}`);
  const expectWhole = async ({ whole }: BegunPull): Promise<void> => {
    expect((await whole).equals(layer.bytes)).toBe(true);
  };

  /** A pull that has its first bytes, while the upstream holds the rest back. */
  async function beginPull(mirror: TestMirror, name = 'hello'): Promise<BegunPull> {
    const response = await openAnswer(mirror.port, path(name));
    expect(response.statusCode).toBe(200);
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    const whole = once(response, 'end').then(() => Buffer.concat(chunks));
    whole.catch(() => undefined);
    await until(() => chunks.length > 0);
    return { whole };
  }

  function pauseAt(atByte: number): () => void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    upstream.behaviour.blobPauses = [{ atByte, until: promise }];
    return () => {
      upstream.behaviour.blobPauses = [];
      resolve(undefined);
    };
  }

  test('are one at the upstream, and the follower keeps nothing but its link', async () => {
    const [leader, follower] = [await start(), await start({ blobs: withoutPut })];
    const goOn = pauseAt(MIB);
    const first = await beginPull(leader);
    const second = await beginPull(follower);
    goOn();
    await expectWhole(first);
    await expectWhole(second);
    await until(() => isKept());
    expect(upstream.seen.map(({ method }) => method)).toEqual(['GET']);
    expect(leader.fills).toEqual([{ joined: 'led', reason: '' }]);
    expect(follower.fills).toEqual([{ joined: 'followed', reason: '' }]);
    await until(async () => (await leases.holder(`fill:${layer.digest}`)) === undefined);
    expect(follower.edge.lines.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  test('are joined for another repository when its own upstream has the blob, and for no stranger', async () => {
    upstream.addBlob('library/other', layer.digest, layer.bytes);
    const [leader, follower] = [await start(), await start()];
    const goOn = pauseAt(MIB);
    const first = await beginPull(leader);
    const stranger = await follower.send(path('stranger'));
    expect(stranger.status).toBe(404);
    const second = await beginPull(follower, 'other');
    goOn();
    await expectWhole(first);
    await expectWhole(second);
    await until(() => isKept('other'));
    expect(await isKept('stranger')).toBe(false);
    expect([gets(), gets('other')]).toEqual([1, 0]);
  });

  test('end in the store although the one that asks the upstream ends midway', async () => {
    const [leader, follower] = [await start(), await start()];
    const goOn = pauseAt(MIB);
    const lost = await beginPull(leader);
    const second = await beginPull(follower);
    const stopped = leader.stop();
    mirrors = [follower];
    await expect(lost.whole).rejects.toThrow();
    goOn();
    await stopped;
    await expectWhole(second);
    await until(() => isKept());
    const ranges = upstream.seen.map(({ range }) => range);
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=\d{5,}-$/)]);
    expect(follower.fills.map(({ joined }) => joined)).toEqual(['followed', 'led']);
  });

  test('go on at the upstream without the one that asked it, although the store cannot be read', async () => {
    const [leader, follower] = [await start(), await start({ blobs: withoutOpen })];
    const goOn = pauseAt(MIB);
    const lost = await beginPull(leader);
    const second = await beginPull(follower);
    const stopped = leader.stop();
    mirrors = [follower];
    await expect(lost.whole).rejects.toThrow();
    goOn();
    await stopped;
    await expectWhole(second);
    expect(gets()).toBe(2);
  });

  test('are stored by the follower when the one that asks the upstream cannot', async () => {
    const [leader, follower] = [await start({ blobs: withoutPut }), await start()];
    const goOn = pauseAt(MIB);
    const first = await beginPull(leader);
    const second = await beginPull(follower);
    goOn();
    await expectWhole(first);
    await expectWhole(second);
    await until(() => isKept());
    expect(gets()).toBe(1);
  });

  test('are two when the other one cannot be reached, and both are served', async () => {
    const follower = await start();
    const claim = `${'0'.repeat(36)} http://127.0.0.1:1`;
    await leases.acquire(`fill:${layer.digest}`, 0, unending, { claim });
    await expectWhole({ whole: follower.send(path()).then(({ body }) => body) });
    await until(() => isKept());
    expect(await leases.holder(`fill:${layer.digest}`)).not.toBe(claim);
  });

  test('are verified by each: wrong bytes complete nowhere and are kept nowhere', async () => {
    const [leader, follower] = [await start(), await start()];
    upstream.behaviour.flipsBit = true;
    const goOn = pauseAt(MIB);
    const first = await beginPull(leader);
    const second = await beginPull(follower);
    goOn();
    await expect(first.whole).rejects.toThrow();
    await expect(second.whole).rejects.toThrow();
    expect(await follower.files()).toEqual([]);
  });

  test('go on at the upstream for who falls behind the window of the other', async () => {
    layer = randomBlob(16 * MIB);
    upstream.addBlob('library/hello', layer.digest, layer.bytes);
    const [leader, follower] = [await start({ spoolMaxBytes: 1000 }), await start()];
    const goOn = pauseAt(12 * MIB);
    let received = 0;
    const first = await openAnswer(leader.port, path());
    first.on('data', (chunk: Buffer) => (received += chunk.length));
    await until(() => received > 11 * MIB);
    upstream.behaviour.blobPauses = [];
    await expectWhole(await beginPull(follower));
    expect(follower.fills).toEqual([{ joined: 'none', reason: 'behind' }]);
    goOn();
    await once(first, 'end');
    expect(received).toBe(layer.bytes.length);
    await until(() => isKept());
  });
});

interface BegunPull {
  readonly whole: Promise<Buffer>;
}

/** A store that gives nothing back. */
const withoutOpen = (blobs: BlobStore): BlobStore => ({
  ...withPut(blobs, (...blob) => blobs.put(...blob)),
  open: () => Promise.reject(new StorageError('blob.open', 'unreachable')),
});

/** Leases of one program, as several processes of it have them. */
function programLeases(): Leases {
  const leases = new ProcessLeases(systemClock);
  return {
    holder: (name) => leases.holder(name),
    acquire: async (...asked) => {
      const lease = await leases.acquire(...asked);
      return lease && { ...lease, reach: 'program' };
    },
  };
}
