import { setImmediate as turn } from 'node:timers/promises';
import { pipeline } from 'node:stream/promises';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { OwnByteBudget } from '../../../shared/concurrency/byte-budget.ts';
import { until } from '../../../shared/http/testing/recorded-edge.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { parseDigest } from '../../../shared/oci/digest.ts';
import { LentBody } from '../../../shared/plain-http/lent-body.ts';
import type { BlobSource } from '../../../shared/storage/blob-store.ts';
import { randomBlob } from '../../../test/support/oci-fixtures.ts';
import { BlobFill } from './blob-fill.ts';
import type { FillSource } from './fill-source.ts';
import { Spool } from './spool.ts';
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

describe('a fill in a window', () => {
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
  ): Promise<{ fill: BlobFill; body: SpooledBody }> {
    const fill = new BlobFill(
      {
        digest: parseDigest(blob.digest)!,
        // Without a folder there is memory alone.
        spool: new Spool(undefined, new OwnByteBudget(0), clock),
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

  const into =
    (destination: Limited) =>
    (body: BlobSource): Promise<void> =>
      'path' in body ? Promise.reject(new Error('no file')) : pipeline(body, destination);

  test('goes on in order when the upstream hangs up while the writer waits for the store', async () => {
    const stored = new Limited(MIB);
    const client = new Limited();
    const source = sourceThatHangsUpAt(WINDOW_BYTES + 1_300_000);
    const { fill, body } = await begin(source, into(stored));
    const copied = body.read(0, TOTAL_BYTES)!.copyTo(client);
    await until(() => clock.sleepers > 0);
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

  test('ends with the process although it waits for a reader that takes nothing', async () => {
    const { fill, body } = await begin(sourceThatHangsUpAt(), () => Promise.resolve());
    const copied = body.read(0, TOTAL_BYTES)!.copyTo(new Limited(MIB));
    copied.catch(() => undefined);
    await until(() => clock.sleepers > 0);
    await turns();
    ended.abort(new Error('the process ends'));
    await fill.finished;
    expect(faults).toEqual([new Error('the process ends')]);
  });
});
