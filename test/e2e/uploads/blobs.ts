import { randomBytes } from 'node:crypto';

import { expect } from '@jest/globals';

import { digestOf } from '../../../shared/oci/digest.ts';
import type { UploadBench } from '../../support/upload-bench.ts';
import { pulledBlob } from '../../support/upload-client.ts';

export interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
}

/** A blob that no other test has. */
export function freshBlob(length: number): Blob {
  const bytes = randomBytes(length);
  return { bytes, digest: digestOf(bytes) };
}

/** The bytes in `count` parts, each with its place. */
export function chunksOf(bytes: Buffer, count: number): { chunk: Buffer; offset: number }[] {
  return Array.from({ length: count }, (_, i) => {
    const offset = Math.floor((bytes.length * i) / count);
    const end = Math.floor((bytes.length * (i + 1)) / count);
    return { chunk: bytes.subarray(offset, end), offset };
  });
}

/** Each of three replicas serves the blob. */
export async function expectEverywhere(
  bench: UploadBench,
  repo: string,
  digest: string,
  size: number,
): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await pulledBlob(bench.next(), repo, digest)).toEqual({ digest, size });
  }
}
