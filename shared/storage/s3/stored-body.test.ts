import { Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { expect, test } from '@jest/globals';

import { StorageError } from '../errors.ts';
import { LentBody } from '../../plain-http/lent-body.ts';
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
      setImmediate(() => {
        chunks.push(Buffer.from(chunk));
        done();
      });
    },
  });
  return { destination, text: () => Buffer.concat(chunks).toString() };
}

/** Brings its bytes one by one in the same memory, as a connection does, and then breaks when they are too few. */
function lending(text: string, length: number): LentBody {
  const left = [...Buffer.from(text)];
  let isReading = false;
  const read = (): void => {
    const byte = left.shift();
    isReading = false;
    if (byte === undefined) lender.destroy(new Error('the connection broke'));
    else if (lender.feed(lender.buffer.subarray(0, 1).fill(byte))) resume();
  };
  const resume = (): void => {
    if (!isReading) setImmediate(read);
    isReading = true;
  };
  const lender = new LentBody(
    { resume, release: () => undefined, destroy: () => undefined },
    length,
    Buffer.alloc(0),
  );
  return lender;
}

test('copies from memory that is used again for each piece, also when it has to ask for the rest', async () => {
  const { destination, text } = sink();
  const resume = (received: number): Promise<Readable> =>
    Promise.resolve(lending(bytes.toString().slice(received), bytes.length - received));
  const body = new StoredBody(lending(bytes.toString().slice(0, 7), bytes.length), {
    ...options,
    resume,
  });
  await body.copyTo(destination);
  expect(text()).toBe(bytes.toString());
});

test('keeps what it is lent when it is read as a stream', async () => {
  const body = new StoredBody(lending(bytes.toString(), bytes.length), options);
  expect((await buffer(body)).equals(bytes)).toBe(true);
});

test('a source that broke before anybody read it is opened again', async () => {
  const broken = lending('', bytes.length).destroy(new Error('the connection broke'));
  const resume = (): Promise<Readable> => Promise.resolve(sending(bytes));
  expect((await buffer(new StoredBody(broken, { ...options, resume }))).equals(bytes)).toBe(true);
});

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
