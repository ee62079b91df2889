import { Transform, type TransformCallback } from 'node:stream';

/** Passes bytes through and fails unless they are exactly as many as were promised to the client (I10). */
export class ExactLength extends Transform {
  #missingBytes: number;

  constructor(bytes: number) {
    super();
    this.#missingBytes = bytes;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#missingBytes -= chunk.length;
    if (this.#missingBytes < 0) callback(new Error('the content is longer than announced'));
    else callback(null, chunk);
  }

  override _flush(callback: TransformCallback): void {
    if (this.#missingBytes > 0) callback(new Error('the content is shorter than announced'));
    else callback();
  }
}
