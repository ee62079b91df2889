/** Bytes, streams and signals for the contract suites of the store. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

/** A signal that never aborts. */
export const unending: AbortSignal = new AbortController().signal;

/** `length` bytes that look random and are the same for the same seed (xorshift32). */
export function patternBytes(length: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state >>> 0;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** The bytes as a stream of chunks of `chunkBytes`, made only when they are read. */
export function streamOf(bytes: Buffer, chunkBytes = 64 * 1024): Readable {
  return Readable.from(slices(bytes, chunkBytes), { objectMode: false });
}

/** The bytes, then an error in place of an end. */
export function brokenStreamOf(bytes: Buffer, error: Error, chunkBytes = 64 * 1024): Readable {
  return Readable.from(
    (function* () {
      yield* slices(bytes, chunkBytes);
      throw error;
    })(),
    { objectMode: false },
  );
}

/** The bytes, then nothing: neither an end nor an error, until it is destroyed. `onDrained` is told once. */
export function hangingStreamOf(bytes: Buffer, onDrained: () => void): Readable {
  const parts = slices(bytes, 64 * 1024);
  return new Readable({
    read() {
      const next = parts.next();
      if (next.done === true) onDrained();
      else this.push(next.value);
    },
  });
}

/** Chunks without an end. */
export function endlessStream(): Readable {
  const chunk = patternBytes(16 * 1024, 99);
  return new Readable({
    read() {
      this.push(chunk);
    },
  });
}

export const readAll = (stream: Readable): Promise<Buffer> => buffer(stream);

function* slices(bytes: Buffer, chunkBytes: number): Generator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    yield bytes.subarray(offset, offset + chunkBytes);
  }
}
