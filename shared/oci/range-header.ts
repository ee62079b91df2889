import type { RangeRequest, ResolvedRange } from './range.ts';

/** At most 15 digits, so that every position is an exact number. */
const BYTES = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/;
const CHUNK = /^(\d{1,15})-(\d{1,15})$/;

/**
 * A `Range` header with one range of bytes (RFC 9110, 14.1.2). Undefined when it is malformed, in another unit or
 * names several ranges: it is then ignored and the answer is the whole (RFC 9110, 14.2). A range that ends before it
 * begins is kept: it holds no byte, which is answered 416.
 */
export function parseRangeHeader(value: string): RangeRequest | undefined {
  const match = BYTES.exec(value);
  if (!match) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') {
    return last === '' ? undefined : { kind: 'suffix', length: Number(last) };
  }
  return last === ''
    ? { kind: 'from', first: Number(first) }
    : { kind: 'from', first: Number(first), last: Number(last) };
}

/** Where a chunk belongs in its upload, both ends inclusive. */
export interface ChunkRange {
  readonly first: number;
  readonly last: number;
}

/** The `Content-Range` of a chunk, `<first>-<last>` without a unit (distribution-spec, spec.md#pushing-a-blob-in-chunks). */
export function parseChunkRange(value: string): ChunkRange | undefined {
  const match = CHUNK.exec(value);
  if (!match) return undefined;
  const [, first, last] = match;
  return { first: Number(first), last: Number(last) };
}

/** `bytes <first>-<last>/<total>` (RFC 9110, 14.4). The range holds at least one byte. */
export function formatContentRange(range: ResolvedRange, totalBytes: number): string {
  return `bytes ${range.offset}-${range.offset + range.length - 1}/${totalBytes}`;
}
