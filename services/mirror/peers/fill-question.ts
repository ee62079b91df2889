import { parseDigest } from '../../../shared/oci/digest.ts';
import type { PeerQuestion } from '../fill/peer-fills.ts';

/** Tells how long the whole blob is. */
export const TOTAL_BYTES_HEADER = 'x-twinport-total-bytes';

/** What each answer without bytes is on the wire. */
export const STATUS_OF = {
  pending: 202,
  refused: 401,
  unproved: 403,
  absent: 404,
  behind: 410,
} as const;

const PATH = /^\/internal\/v1\/fills\/([^/?]+)\?(.*)$/s;

/** Path and query of a question. */
export function formatQuestion({ digest, fromByte, reader, isProved }: PeerQuestion): string {
  const query = new URLSearchParams({ from: String(fromByte), reader, proved: String(isProved) });
  return `/internal/v1/fills/${digest}?${query.toString()}`;
}

/** Undefined for anything else. */
export function parseQuestion(path: string): PeerQuestion | undefined {
  const [, name = '', rest = ''] = PATH.exec(path) ?? [];
  const digest = parseDigest(name);
  const query = new URLSearchParams(rest);
  const from = query.get('from') ?? '';
  const reader = query.get('reader');
  if (!digest || !/^\d{1,15}$/.test(from) || reader === null) return undefined;
  return { digest, fromByte: Number(from), reader, isProved: query.get('proved') === 'true' };
}
