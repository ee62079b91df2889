import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { StorageError } from '../errors.ts';
import { copyFilePart } from './copy-file.ts';

const content = randomBytes(1_000_003);
let folder: string;
let handle: FileHandle;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinport-copy-'));
  await writeFile(join(folder, 'file'), content);
  handle = await open(join(folder, 'file'), 'r');
});
afterEach(async () => {
  await handle.close();
  await rm(folder, { recursive: true });
});

/** Takes each chunk only after others had the chance to run, and copies it only then: a reused buffer would show. */
function slowSink(): { sink: Writable; received: () => Buffer } {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      setImmediate(() => {
        chunks.push(Buffer.from(chunk));
        done();
      });
    },
  });
  return { sink, received: () => Buffer.concat(chunks) };
}

describe('copying a part of a file', () => {
  test.each([
    ['all of it', 0, content.length],
    ['a part', 12_345, 700_001],
    ['one byte', content.length - 1, 1],
    ['nothing', 7, 0],
  ])(
    'gives exactly the bytes of %s to a slow destination, several times at once',
    async (...row) => {
      const [, offset, length] = row;
      const sinks = [slowSink(), slowSink(), slowSink()];
      await Promise.all(sinks.map(({ sink }) => copyFilePart({ handle, offset, length }, sink)));
      for (const { sink, received } of sinks) {
        expect(received().equals(content.subarray(offset, offset + length))).toBe(true);
        expect(sink.writableEnded).toBe(false);
      }
    },
  );

  test('a file that is shorter than announced is a fault of the store', async () => {
    const { sink } = slowSink();
    const part = { handle, offset: 0, length: content.length + 1 };
    await expect(copyFilePart(part, sink)).rejects.toBeInstanceOf(StorageError);
  });

  test.each([
    ['closes', undefined],
    ['breaks', new Error('the client is gone')],
  ])('ends when the destination %s in the middle of a write that never ends', async (_, error) => {
    const sink = new Writable({
      write() {
        setImmediate(() => sink.destroy(error));
      },
    });
    sink.on('error', () => undefined);
    await expect(copyFilePart({ handle, offset: 0, length: content.length }, sink)).rejects.toThrow(
      error?.message ?? 'closed',
    );
  });

  test('ends at once when the destination is closed already', async () => {
    const { sink } = slowSink();
    sink.destroy();
    await expect(copyFilePart({ handle, offset: 0, length: 10 }, sink)).rejects.toThrow();
  });
});
