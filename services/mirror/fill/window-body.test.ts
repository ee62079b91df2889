import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { MemoryWindows } from './memory-window.ts';
import { Limited } from './testing/limited.ts';
import { WindowBody } from './window-body.ts';

const MIB = 1024 * 1024;
const TOTAL_BYTES = 16 * MIB;

describe('a body in a window', () => {
  let clock: ManualClock;
  let body: WindowBody;
  let bytes: Buffer;
  let hasWritten: boolean;

  beforeEach(() => {
    clock = new ManualClock();
    const ring = new MemoryWindows().create()!;
    body = new WindowBody(ring, ring.windowBytes, TOTAL_BYTES, clock);
    bytes = Buffer.alloc(
      TOTAL_BYTES,
      'a body in which every place differs from its neighbours, 12345',
    );
    hasWritten = false;
  });

  async function write(): Promise<void> {
    for (let start = 0; start < TOTAL_BYTES; start += 60_000) {
      await body.append(bytes.subarray(start, start + 60_000));
    }
    hasWritten = true;
    body.markVerified();
    body.release();
  }

  const isWhole = (taken: Limited): boolean => taken.all.equals(bytes);

  test('waits for the one that stores it, and for nobody else', async () => {
    const store = body.readToStore()!;
    const slow = new Limited(MIB);
    const falls = body.read(0, TOTAL_BYTES)!.copyTo(slow);
    falls.catch(() => undefined);
    const writing = write();
    await until(() => clock.sleepers > 0);
    expect(hasWritten).toBe(false);
    const stored = new Limited();
    await Promise.all([writing, pipeline(store, stored)]);
    expect(isWhole(stored)).toBe(true);
    slow.allowAll();
    await expect(falls).rejects.toThrow('the window has moved on');
  });

  test('goes on without a store that takes nothing, at the pace of the fastest reader', async () => {
    const store = body.readToStore()!;
    const fast = new Limited();
    const copied = body.read(0, TOTAL_BYTES)!.copyTo(fast);
    const writing = write();
    await until(() => clock.sleepers > 0);
    clock.advance(15_000);
    await Promise.all([writing, copied]);
    expect(isWhole(fast)).toBe(true);
    expect(store.destroyed).toBe(true);
  });

  test('does not wait for who has all of a part but what is held back until the digest is right', async () => {
    const end = 8 * MIB;
    const client = new Limited();
    const part = body.read(0, end, {
      continueFrom: (position) => Promise.resolve(Readable.from([bytes.subarray(position, end)])),
    })!;
    const copied = part.copyTo(client);
    const writing = write();
    writing.catch(() => undefined);
    await until(() => client.bytes === end);
    await copied;
    expect(client.all.equals(bytes.subarray(0, end))).toBe(true);
    await expect(writing).rejects.toThrow('nobody reads');
  });

  test('loses nobody who is as fast as the store, however fast the writer', async () => {
    const store = body.readToStore()!;
    const everybody = Array.from({ length: 8 }, () => new Limited(MIB));
    const [stored, ...clients] = everybody as [Limited, ...Limited[]];
    const copied = clients.map((client) => body.read(0, TOTAL_BYTES)!.copyTo(client));
    const over = Promise.all([write(), pipeline(store, stored), ...copied]);
    over.catch(() => undefined);
    for (let bytes = MIB; bytes < TOTAL_BYTES; bytes += MIB) {
      await until(() => everybody.every((taken) => taken.bytes >= bytes));
      for (const taken of everybody) taken.allow(bytes + MIB);
    }
    for (const taken of everybody) taken.allowAll();
    await over;
    expect(everybody.every(isWhole)).toBe(true);
  });

  test('waits for those who read it although somebody waits for a part that is to come', async () => {
    const late = body.read(12 * MIB, 4 * MIB)!.copyTo(new Limited());
    late.catch(() => undefined);
    const slow = new Limited(MIB);
    const copied = body.read(0, TOTAL_BYTES)!.copyTo(slow);
    const writing = write();
    await until(() => clock.sleepers > 0);
    expect(hasWritten).toBe(false);
    slow.allowAll();
    await Promise.all([writing, copied, late]);
    expect(isWhole(slow)).toBe(true);
  });

  test('leaves out a store that takes nothing although a client moves on', async () => {
    const store = body.readToStore()!;
    const client = new Limited();
    const steps: number[] = [];
    const reader = body.read(0, TOTAL_BYTES)!;
    const writing = write();
    await until(() => clock.sleepers > 0);
    // Inside the window it takes a step each time before the store's time is up.
    for (let n = 0; n < 2; n += 1) {
      clock.advance(10_000);
      await once(reader, 'readable');
      steps.push((reader.read(100_000) as Buffer).length);
      await until(() => clock.sleepers > 0 || store.destroyed);
    }
    expect(steps).toEqual([100_000, 100_000]);
    await until(() => store.destroyed);
    await Promise.all([writing, pipeline(reader, client)]);
    expect(client.bytes).toBe(TOTAL_BYTES - 200_000);
  });

  test('is given up when neither a store nor anybody else reads it', async () => {
    const left = body.read(0, TOTAL_BYTES)!;
    const writing = write();
    writing.catch(() => undefined);
    await until(() => clock.sleepers > 0);
    left.destroy();
    await expect(writing).rejects.toThrow('nobody reads');
  });

  test('hands who fell behind over to where the rest is', async () => {
    const store = body.readToStore()!;
    const slow = new Limited(MIB);
    let from = 0;
    const reader = body.read(0, TOTAL_BYTES, {
      continueFrom: (position, end) => {
        from = position;
        return Promise.resolve(Readable.from([bytes.subarray(position, end)]));
      },
    })!;
    const copied = reader.copyTo(slow);
    store.resume();
    await write();
    slow.allowAll();
    await copied;
    expect(isWhole(slow)).toBe(true);
    expect(from).toBeGreaterThanOrEqual(MIB);
    expect(reader.deliveredBytes).toBe(TOTAL_BYTES);
  });
});
