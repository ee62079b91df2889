import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { describe, expect, test } from '@jest/globals';

import { digestOf } from '../oci/digest.ts';
import { DigestMismatchError, SizeMismatchError } from './errors.ts';
import { endlessStream, patternBytes, streamOf } from './testing/contract-support.ts';
import { VerifyStream } from './verify-stream.ts';

const bytes = patternBytes(500_000, 1);

/** Collects, and says whether it was told that all is right. */
class Target extends Writable {
  readonly chunks: Buffer[] = [];
  isFinished = false;
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.chunks.push(chunk);
    done();
  }
  override _final(done: () => void): void {
    this.isFinished = true;
    done();
  }
}

describe('VerifyStream', () => {
  test.each(['sha256', 'sha512'] as const)('lets content of the right %s pass', async (name) => {
    for (const size of [undefined, bytes.length]) {
      const target = new Target();
      const verify = new VerifyStream(digestOf(bytes, name), size);
      await pipeline(streamOf(bytes), verify, target);
      expect(target.isFinished).toBe(true);
      expect(verify.bytes).toBe(bytes.length);
      expect(Buffer.concat(target.chunks).equals(bytes)).toBe(true);
    }
  });

  test('keeps the end from whoever stands behind it when the digest is wrong', async () => {
    const target = new Target();
    const verify = new VerifyStream(digestOf(Buffer.from('other')));
    await expect(pipeline(streamOf(bytes), verify, target)).rejects.toThrow(DigestMismatchError);
    expect(target.isFinished).toBe(false);
  });

  test('says that the size is wrong rather than the digest when both are', async () => {
    for (const size of [0, bytes.length - 1, bytes.length + 1]) {
      const target = new Target();
      const verify = new VerifyStream(digestOf(Buffer.from('other')), size);
      await expect(pipeline(streamOf(bytes), verify, target)).rejects.toThrow(SizeMismatchError);
      expect(target.isFinished).toBe(false);
    }
  });

  test('does not wait for the end of a body that is too long', async () => {
    const target = new Target();
    const verify = new VerifyStream(digestOf(bytes), 100_000);
    await expect(pipeline(endlessStream(), verify, target)).rejects.toThrow(SizeMismatchError);
    expect(Buffer.concat(target.chunks).length).toBeLessThanOrEqual(100_000);
  });
});
