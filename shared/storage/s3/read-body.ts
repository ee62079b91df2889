import { addAbortSignal, type Readable } from 'node:stream';

/**
 * Hands each chunk of a body to `take` in turn. An aborted signal destroys the body; a fault of `take` leaves it open,
 * so that its owner can still answer the client. Whatever ends it early is thrown.
 */
export async function readBody(
  body: Readable,
  signal: AbortSignal,
  take: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  addAbortSignal(signal, body);
  for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<
    Buffer | string
  >) {
    await take(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  }
}
