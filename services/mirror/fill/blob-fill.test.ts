import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { OwnByteBudget } from '../../../shared/concurrency/byte-budget.ts';
import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { parseDigest } from '../../../shared/oci/digest.ts';
import { LentBody } from '../../../shared/plain-http/lent-body.ts';
import type { BlobSource } from '../../../shared/storage/blob-store.ts';
import { randomBlob } from '../../../test/support/oci-fixtures.ts';
import { BlobFill, type BlobFillOptions } from './blob-fill.ts';
import type { FillSource } from './fill-source.ts';
import { Spool } from './spool.ts';
import type { SpoolFile } from './spool-file.ts';
import type { SpooledBody } from './spooled-body.ts';
import { Limited } from './testing/limited.ts';

const MIB = 1024 * 1024;
/** What is kept of a blob in memory alone. */
const WINDOW_BYTES = 4 * MIB;
const TOTAL_BYTES = 12 * MIB;

/** The body of a connection that hangs up behind so many bytes, whether or not they have been taken by then. */
function lentUntil(bytes: Buffer, cut: number): LentBody {
  let sent = 0;
  const send = (): void => {
    for (let wantsMore = true; wantsMore && sent < cut;) {
      const { buffer } = body;
      const length = bytes.copy(buffer, 0, sent, Math.min(cut, sent + buffer.length));
      sent += length;
      wantsMore = body.feed(buffer.subarray(0, length));
    }
    if (sent === cut && cut < bytes.length) body.destroy(new Error('hung up'));
  };
  const connection = {
    resume: () => void setImmediate(send),
    release: () => undefined,
    destroy: () => undefined,
  };
  const body: LentBody = new LentBody(connection, bytes.length, Buffer.alloc(0));
  return body;
}

async function turns(): Promise<void> {
  for (let n = 0; n < 20; n += 1) await turn();
}

/** A file on a disk with room for so many bytes. */
class SmallDisk implements SpoolFile {
  readonly path = 'never given away';
  #bytes = Buffer.alloc(0);
  readonly #roomBytes: number;

  constructor(roomBytes: number) {
    this.#roomBytes = roomBytes;
  }

  append(chunks: readonly Buffer[]): Promise<void> {
    const bytes = Buffer.concat([this.#bytes, ...chunks]);
    if (bytes.length > this.#roomBytes) return Promise.reject(new Error('no space left'));
    this.#bytes = bytes;
    return Promise.resolve();
  }

  read(buffer: Buffer, position: number, length: number): Promise<number> {
    return Promise.resolve(this.#bytes.copy(buffer, 0, position, position + length));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe('a fill', () => {
  let clock: ManualClock;
  let blob: ReturnType<typeof randomBlob>;
  let faults: unknown[];
  let ended: AbortController;

  beforeEach(() => {
    clock = new ManualClock();
    blob = randomBlob(TOTAL_BYTES);
    faults = [];
    ended = new AbortController();
  });

  /** Hangs up behind each of these bytes in turn. */
  function sourceThatHangsUpAt(...cuts: readonly number[]): FillSource {
    const left = [...cuts];
    return {
      isLeading: true,
      open: (fromByte) => {
        const rest = blob.bytes.subarray(fromByte);
        const body = lentUntil(rest, (left.shift() ?? TOTAL_BYTES) - fromByte);
        const value = {
          totalBytes: TOTAL_BYTES,
          offset: fromByte,
          body,
          from: 'upstream',
        } as const;
        return Promise.resolve({ kind: 'found', value });
      },
      isOursToStore: () => Promise.resolve(true),
      close: () => Promise.resolve(),
    };
  }

  async function begin(
    source: FillSource,
    store: (body: BlobSource) => Promise<void>,
    // Without a folder there is memory alone.
    spool: BlobFillOptions['spool'] = new Spool(undefined, new OwnByteBudget(0), clock),
  ): Promise<{ fill: BlobFill; body: SpooledBody }> {
    const fill = new BlobFill(
      {
        digest: parseDigest(blob.digest)!,
        spool,
        clock,
        source,
        store,
        link: () => Promise.resolve(),
        onFault: (error) => void faults.push(error),
      },
      ended.signal,
    );
    const opening = await fill.opened;
    if (opening.kind !== 'following') throw new Error(opening.kind);
    return { fill, body: opening.body };
  }

  async function end(fill: BlobFill): Promise<void> {
    let isOver = false;
    void fill.finished.then(() => (isOver = true));
    await until(() => {
      clock.advance(100);
      return isOver;
    });
  }

  /** Besides the watch over the upstream. */
  const untilWriterWaits = (): Promise<void> => until(() => clock.sleepers === 2);

  const into =
    (destination: Limited) =>
    (body: BlobSource): Promise<void> =>
      'path' in body ? Promise.reject(new Error('no file')) : pipeline(body, destination);

  test('in a window goes on in order when the upstream hangs up while the writer waits for the store', async () => {
    const stored = new Limited(MIB);
    const client = new Limited();
    const source = sourceThatHangsUpAt(WINDOW_BYTES + 1_300_000);
    const { fill, body } = await begin(source, into(stored));
    const copied = body.read(0, TOTAL_BYTES)!.copyTo(client);
    await untilWriterWaits();
    await turns();
    // The upstream would be asked again by now, if the writer were not still busy.
    clock.advance(1000);
    await turns();
    stored.allowAll();
    await end(fill);
    await copied;
    expect(client.all.equals(blob.bytes)).toBe(true);
    expect(stored.all.equals(blob.bytes)).toBe(true);
    expect(faults).toEqual([]);
  });

  test('in a window ends with the process although it waits for a reader that takes nothing', async () => {
    const { fill, body } = await begin(sourceThatHangsUpAt(), () => Promise.resolve());
    const copied = body.read(0, TOTAL_BYTES)!.copyTo(new Limited(MIB));
    copied.catch(() => undefined);
    await untilWriterWaits();
    await turns();
    ended.abort(new Error('the process ends'));
    await fill.finished;
    expect(faults).toEqual([new Error('the process ends')]);
  });

  test('whose disk is full leaves its clients what it has, and to go on elsewhere behind that', async () => {
    const roomBytes = 5 * MIB;
    const spool = {
      create: () => Promise.resolve(new SmallDisk(roomBytes)),
      createWindow: () => Promise.resolve(undefined),
    };
    const { fill, body } = await begin(
      sourceThatHangsUpAt(),
      () => Promise.reject(new Error('nothing to store')),
      spool,
    );
    const from: number[] = [];
    const continueFrom = (position: number, end: number): Promise<Readable> => {
      from.push(position);
      return Promise.resolve(Readable.from([blob.bytes.subarray(position, end)]));
    };
    const clients = [new Limited(), new Limited(MIB)] as const;
    const copied = clients.map((client) =>
      body.read(0, TOTAL_BYTES, { continueFrom })!.copyTo(client),
    );
    await fill.finished;
    clients[1].allowAll();
    await Promise.all(copied);
    for (const client of clients) expect(client.all.equals(blob.bytes)).toBe(true);
    expect(from).toHaveLength(2);
    for (const position of from) expect(position).toBeGreaterThan(roomBytes - MIB);
    expect(faults).toEqual([new Error('no space left')]);
    expect(body.read(0, TOTAL_BYTES)).toBeUndefined();
  });

  test('asks an upstream again that sends next to nothing, and gives up when it goes on like that', async () => {
    const asked: number[] = [];
    const bodies: Readable[] = [];
    const source: FillSource = {
      ...sourceThatHangsUpAt(),
      open: (fromByte) => {
        asked.push(fromByte);
        const body = new Readable({ read: () => undefined });
        bodies.push(body);
        const value = {
          totalBytes: TOTAL_BYTES,
          offset: fromByte,
          body,
          from: 'upstream',
        } as const;
        return Promise.resolve({ kind: 'found', value });
      },
    };
    const { fill, body } = await begin(source, () => Promise.resolve());
    const followed = body.read(0, TOTAL_BYTES)!.copyTo(new Limited());
    followed.catch(() => undefined);
    let sent = 0;
    const send = async (bytes: number): Promise<void> => {
      bodies.at(-1)!.push(blob.bytes.subarray(sent, sent + bytes));
      sent += bytes;
      await until(() => fill.pulledBytes === sent);
    };
    // Enough for a minute.
    await send(64 * 1024);
    clock.advance(60_000);
    await turns();
    expect(asked).toEqual([0]);
    for (let minute = 1; minute <= 3; minute += 1) {
      await send(100);
      clock.advance(60_000);
      await until(() => bodies.at(-1)!.destroyed);
      if (minute < 3) {
        await until(() => {
          clock.advance(100);
          return asked.length === minute + 1;
        });
      }
    }
    await fill.finished;
    expect(asked).toEqual([0, 65_636, 65_736]);
    expect(faults).toMatchObject([{ message: 'the upstream keeps breaking off' }]);
    await expect(followed).rejects.toThrow('keeps breaking off');
  });

  test('does not hold a slow client against the upstream', async () => {
    const { fill, body } = await begin(sourceThatHangsUpAt(), () => Promise.resolve());
    const client = new Limited(MIB);
    const copied = body.read(0, TOTAL_BYTES)!.copyTo(client);
    await untilWriterWaits();
    for (let minute = 1; minute <= 3; minute += 1) {
      clock.advance(60_000);
      await turns();
    }
    client.allowAll();
    await end(fill);
    await copied;
    expect(client.all.equals(blob.bytes)).toBe(true);
    expect(faults).toEqual([]);
  });
});
