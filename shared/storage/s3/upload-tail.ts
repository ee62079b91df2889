import pLimit from 'p-limit';

import { sha256Of } from './payload-hash.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';
import type { TailPiece, UploadTail } from './upload-record.ts';
import type { UploadCall } from './upload-state.ts';

/** How many pieces of a tail are read at a time. */
const CONCURRENT_READS = 4;

export function piecesSize(pieces: readonly TailPiece[]): number {
  return pieces.reduce((sum, { size }) => sum + size, 0);
}

/**
 * The bytes of pieces, each verified, followed by `rest`, in one new buffer; undefined when one of them is not there.
 */
export async function joinPieces(
  bucket: S3Bucket,
  { operation, signal }: UploadCall,
  pieces: readonly TailPiece[],
  rest: Buffer,
): Promise<Buffer | undefined> {
  const held = piecesSize(pieces);
  const joined = Buffer.allocUnsafeSlow(held + rest.length);
  rest.copy(joined, held);
  const limit = pLimit(CONCURRENT_READS);
  let end = 0;
  const reads = pieces.map((piece) => {
    const start = end;
    end += piece.size;
    return limit(async () => {
      const bytes = await bucket.get({ operation, key: piece.key, signal }, piece.size);
      if (bytes === undefined) return false;
      if ((await sha256Of(bytes)) !== piece.sha256) {
        const message = `${piece.key}: the store gave back other bytes`;
        throw new S3StorageError(operation, message, false);
      }
      bytes.copy(joined, start);
      return true;
    });
  });
  return (await Promise.all(reads)).every((isThere) => isThere) ? joined : undefined;
}

/** All bytes of the tail; undefined when they are not there. */
export async function readTail(
  bucket: S3Bucket,
  call: UploadCall,
  { pieces, rest }: UploadTail,
): Promise<Buffer | undefined> {
  return pieces.length === 0 ? rest : await joinPieces(bucket, call, pieces, rest);
}
