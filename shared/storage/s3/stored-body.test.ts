import { Readable, Writable } from 'node:stream';

import { expect, test } from '@jest/globals';

import { StorageError } from '../errors.ts';
import { StoredBody, type StoredBodyOptions } from './stored-body.ts';

const bytes = Buffer.from('what a store sends');
const options: StoredBodyOptions = {
  operation: 'blob.open',
  key: 'blobs/one',
  length: bytes.length,
  idleMs: 60_000,
  signal: new AbortController().signal,
};
const sending = (...chunks: Buffer[]): Readable => Readable.from(chunks, { objectMode: false });

function sink(): { destination: Writable; text: () => string } {
  const chunks: Buffer[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      setImmediate(done);
    },
  });
  return { destination, text: () => Buffer.concat(chunks).toString() };
}

test('copies all bytes and leaves the destination open, also when it has to ask for the rest', async () => {
  const { destination, text } = sink();
  const resume = (received: number): Promise<Readable> =>
    Promise.resolve(sending(bytes.subarray(received)));
  const body = new StoredBody(sending(bytes.subarray(0, 7)), { ...options, resume });
  await body.copyTo(destination);
  expect(text()).toBe(bytes.toString());
  expect(destination.writableEnded).toBe(false);
  expect(body.destroyed).toBe(true);
});

test('a copy of a body that ends short is a fault of the store', async () => {
  const body = new StoredBody(sending(bytes.subarray(0, 7)), options);
  await expect(body.copyTo(sink().destination)).rejects.toBeInstanceOf(StorageError);
});

test('a copy to a destination that closes rejects and frees the body', async () => {
  const destination = new Writable({ write: () => undefined });
  const body = new StoredBody(sending(bytes), options);
  const copying = expect(body.copyTo(destination)).rejects.toThrow('closed');
  setImmediate(() => destination.destroy());
  await copying;
  expect(body.destroyed).toBe(true);
});
