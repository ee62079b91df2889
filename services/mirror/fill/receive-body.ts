import { noteFreshBytes } from '../../../shared/lifecycle/fresh-bytes.ts';
import type { FillBytes } from './fill-source.ts';
import type { SharedBlock } from './shared-block.ts';

/** Takes bytes, those of a block as long as it retains that. A promise: no more before it resolves. */
export type AcceptBytes = (bytes: Buffer, block?: SharedBlock) => Promise<void> | undefined;

/**
 * Gives the bytes from `position` on to `accept`, skipping those before it. Resolves at the end of the body, however it
 * came to that; what broke it is returned. Only what `accept` throws is thrown.
 */
export async function receiveBody(
  source: FillBytes,
  position: number,
  accept: AcceptBytes,
): Promise<unknown> {
  let skip = position - source.offset;
  let refusal: unknown;
  try {
    for await (const chunk of source.body as AsyncIterable<Buffer>) {
      noteFreshBytes(chunk.length);
      const wanted = skip < chunk.length ? chunk.subarray(skip) : undefined;
      skip = Math.max(skip - chunk.length, 0);
      try {
        if (wanted) await accept(wanted);
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
