import { once } from 'node:events';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { openAnswer } from '../../shared/http/testing/http-client.ts';
import { type LogLine, until } from '../../shared/http/testing/recorded-edge.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { randomBlob } from '../../test/support/oci-fixtures.ts';
import { isLinked } from './testing/is-linked.ts';
import {
  startTestMirror,
  type TestMirror,
  type TestMirrorOptions,
} from './testing/start-test-mirror.ts';
import { withoutPut } from './testing/without-put.ts';

const MIB = 1024 * 1024;
/** What is kept of a blob in memory alone. */
const WINDOW_BYTES = 4 * MIB;

describe('a blob that does not fit the spool', () => {
  let upstream: FakeUpstream;
  let mirror: TestMirror;

  beforeEach(async () => {
    upstream = await startFakeUpstream();
    mirror = await start();
  });
  afterEach(async () => {
    await mirror.stop();
    await upstream.stop();
  });

  /** So little room that of a blob there is a window in memory alone. */
  const start = (options: TestMirrorOptions = {}): Promise<TestMirror> =>
    startTestMirror(upstream.url, { spoolMaxBytes: 1000, ...options });
  const blobPath = (digest: string): string => `/v2/hello/blobs/${digest}`;
  const failedFills = (): LogLine[] =>
    mirror.edge.lines.filter(({ fields }) => fields['operation'] === 'blob.fill');

  test('is verified and kept all the same', async () => {
    // More than the window in memory.
    const large = randomBlob(12 * MIB);
    upstream.addBlob('library/hello', large.digest, large.bytes);
    const range = { headers: { range: 'bytes=70000-80000' } };
    upstream.behaviour.flipsBit = true;
    await expect(mirror.send(blobPath(large.digest))).rejects.toThrow();
    await expect(mirror.send(blobPath(large.digest), range)).rejects.toThrow();
    // The window has passed the second client, so that it had its answer before its download had ended.
    await until(() => failedFills().length === 2);
    expect(await mirror.files()).toEqual([]);
    upstream.behaviour.flipsBit = false;
    upstream.forget();
    const { body } = await mirror.send(blobPath(large.digest));
    expect(body.equals(large.bytes)).toBe(true);
    await until(() => isLinked(mirror, large.digest));
  });

  test('is read to its end by who is too slow for the window', async () => {
    const large = randomBlob(40 * MIB);
    upstream.addBlob('library/hello', large.digest, large.bytes);
    const slow = await openAnswer(mirror.port, blobPath(large.digest));
    const fast = await mirror.send(blobPath(large.digest));
    expect(fast.body.equals(large.bytes)).toBe(true);
    await until(() => isLinked(mirror, large.digest));
    upstream.forget();
    const late: Buffer[] = [];
    for await (const chunk of slow as AsyncIterable<Buffer>) late.push(chunk);
    expect(Buffer.concat(late).equals(large.bytes)).toBe(true);
    expect(upstream.seen).toEqual([]);
  });

  test('reaches everyone although the store cannot take it', async () => {
    await mirror.stop();
    mirror = await start({ blobs: withoutPut });
    const large = randomBlob(12 * MIB);
    upstream.addBlob('library/hello', large.digest, large.bytes);
    const pulls = Promise.all([1, 2].map(() => mirror.send(blobPath(large.digest))));
    for (const { body } of await pulls) expect(body.equals(large.bytes)).toBe(true);
    expect(mirror.edge.lines.filter(({ level }) => level === 'warn')).not.toEqual([]);
  });

  test('goes on from a checked place at the upstream, for who is too slow', async () => {
    const large = randomBlob(40 * MIB);
    upstream.addBlob('library/hello', large.digest, large.bytes);
    const isInWindow = Promise.withResolvers<undefined>();
    const isAhead = Promise.withResolvers<undefined>();
    upstream.behaviour.blobPauses = [
      { atByte: WINDOW_BYTES, until: isInWindow.promise },
      { atByte: 36 * MIB, until: isAhead.promise },
    ];
    const slow = await openAnswer(mirror.port, blobPath(large.digest));
    // The download is held at both; whoever asks the upstream from now on is not.
    upstream.behaviour.blobPauses = [];
    const late: Buffer[] = [];
    let received = 0;
    slow.on('data', (chunk: Buffer) => {
      late.push(chunk);
      received += chunk.length;
      if (received === WINDOW_BYTES) slow.pause();
    });
    await until(() => received === WINDOW_BYTES);
    isInWindow.resolve(undefined);
    // Who wants what comes last has none of it before the window has moved on to there.
    const last = await openAnswer(mirror.port, blobPath(large.digest), {
      headers: { range: `bytes=${35 * MIB}-` },
    });
    await once(last, 'readable');
    last.destroy();
    slow.resume();
    await once(slow, 'end');
    expect(Buffer.concat(late).equals(large.bytes)).toBe(true);
    const path = `/v2/library/hello/blobs/${large.digest}`;
    const ranges = upstream.seen.filter((seen) => seen.path === path).map(({ range }) => range);
    // How much of it the sockets had taken up nobody knows, but there was a place to go on from.
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=\d{7,}-$/)]);
    isAhead.resolve(undefined);
    await until(() => isLinked(mirror, large.digest));
  });
});
