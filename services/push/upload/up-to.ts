import { Readable } from 'node:stream';

/**
 * The bytes of the body; the one after the last that may come throws what `refusal` makes of how many there are. The
 * body is then left as it is: its connection is still to carry the answer.
 */
export function upTo(
  body: Readable,
  maxBytes: number,
  refusal: (bytes: number) => Error,
): Readable {
  async function* counted(): AsyncGenerator<Buffer> {
    let bytes = 0;
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxBytes) throw refusal(bytes);
      yield chunk as Buffer;
    }
  }
  return Readable.from(counted(), { objectMode: false });
}
