import type { Readable } from 'node:stream';

import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { noteFreshBytes } from '../../../shared/lifecycle/fresh-bytes.ts';
import { LentBody } from '../../../shared/plain-http/lent-body.ts';
import type { FillBytes } from './fill-source.ts';
import { SharedBlock } from './shared-block.ts';
import { TrickleWatch } from './trickle-watch.ts';

/** Less room than this in a block is not read into. */
const MIN_READ_BYTES = 64 * 1024;

/** Takes bytes, those of a block as long as it retains that. A promise: no more before it resolves. */
export type AcceptBytes = (bytes: Buffer, block?: SharedBlock) => Promise<void> | undefined;

/**
 * Gives the bytes from `position` on to `accept`, skipping those before it. Resolves at the end of the body, however it
 * came to that; what broke it is returned, a TrickleError where an upstream sent next to nothing. Only what `accept`
 * throws is thrown.
 */
export async function receiveBody(
  source: FillBytes,
  position: number,
  accept: AcceptBytes,
  clock: Clock,
): Promise<unknown> {
  const { body, offset, from } = source;
  const watch = new TrickleWatch(clock);
  let skip = position - offset;
  const acceptFrom: AcceptBytes = (bytes, block) => {
    const wanted = skip < bytes.length ? bytes.subarray(skip) : undefined;
    skip = Math.max(skip - bytes.length, 0);
    const accepted = wanted && accept(wanted, block);
    watch.came(bytes.length, accepted);
    return accepted;
  };
  const ended = new AbortController();
  // Others have watched theirs: another replica its upstream, and the store's client the store.
  if (from === 'upstream') void watch.run(body, ended.signal);
  try {
    return await (body instanceof LentBody
      ? receiveLent(body, acceptFrom)
      : receiveChunks(body, acceptFrom));
  } finally {
    ended.abort();
  }
}

async function receiveChunks(body: Readable, accept: AcceptBytes): Promise<unknown> {
  let refusal: unknown;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      noteFreshBytes(chunk.length);
      try {
        await accept(chunk);
      } catch (error) {
        refusal = error;
        throw error;
      }
    }
  } catch (error) {
    if (refusal !== undefined) throw refusal as Error;
    return error;
  }
  return undefined;
}

/** Read straight into the blocks that the bytes are then taken from. */
async function receiveLent(body: LentBody, accept: AcceptBytes): Promise<unknown> {
  const blocks = new Blocks();
  let accepting = Promise.resolve();
  let refusal: unknown;
  const refuse = (error: unknown): void => {
    refusal = error;
    body.destroy();
  };
  const take = (piece: Buffer): boolean => {
    try {
      const accepted = blocks.has(piece)
        ? accept(piece, blocks.taken(piece))
        : // What came with the head of the answer.
          accept(Buffer.from(piece));
      if (!accepted) return true;
      accepting = accepted;
      accepted.then(() => body.more(), refuse);
    } catch (error) {
      refuse(error);
    }
    return false;
  };
  try {
    const fault = await new Promise<unknown>((resolve) => {
      body.once('end', () => resolve(undefined));
      body.once('error', resolve);
      body.once('close', () => resolve(undefined));
      body.lend(take, () => blocks.next());
    });
    // A body can end while the last piece is still being taken, out of a block that is used again from here on.
    await accepting;
    if (refusal !== undefined) throw refusal as Error;
    return fault;
  } finally {
    blocks.end();
  }
}

/** Blocks that are filled one after the other. */
class Blocks {
  #block: SharedBlock | undefined;
  #filled = 0;

  /** Where to read to. */
  next(): Buffer {
    if (!this.#block || this.#block.bytes.length - this.#filled < MIN_READ_BYTES) {
      this.#block?.release();
      this.#block = new SharedBlock();
      this.#filled = 0;
    }
    return this.#block.bytes.subarray(this.#filled);
  }

  has(piece: Buffer): boolean {
    return piece.buffer === this.#block?.bytes.buffer;
  }

  /** The piece that was read. */
  taken(piece: Buffer): SharedBlock | undefined {
    this.#filled += piece.length;
    return this.#block;
  }

  end(): void {
    this.#block?.release();
    this.#block = undefined;
  }
}
