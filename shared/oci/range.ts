/** What a client asked of a blob by `Range: bytes=…` (RFC 9110, 14.1.2): one range, not yet held against a size. */
export type RangeRequest =
  | { readonly kind: 'from'; readonly first: number; readonly last?: number }
  | { readonly kind: 'suffix'; readonly length: number };

/** A range held against a size: bytes [offset, offset + length) of a whole. */
export interface ResolvedRange {
  readonly offset: number;
  readonly length: number;
}

/** Clamps a request to `totalBytes`; undefined when no byte of it exists (the answer is then 416). */
export function resolveRange(request: RangeRequest, totalBytes: number): ResolvedRange | undefined {
  if (request.kind === 'suffix') {
    const length = Math.min(request.length, totalBytes);
    return length > 0 ? { offset: totalBytes - length, length } : undefined;
  }
  const last = Math.min(request.last ?? totalBytes - 1, totalBytes - 1);
  return request.first <= last
    ? { offset: request.first, length: last - request.first + 1 }
    : undefined;
}
