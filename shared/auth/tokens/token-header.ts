/** What is used of a token's header (RFC 7515, 4.1). */
export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

const MAX_HEADER_LENGTH = 2_048;
/** Headers that would let a token choose by which key it is checked, or change what its signature means, are not here. */
const KNOWN: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/**
 * The header of a compact JWS; undefined for everything else, and for headers with more than `alg`, `kid` and `typ`. Looks
 * at little of a token that is none, and does no cryptography.
 */
export function readTokenHeader(token: string): TokenHeader | undefined {
  const dot = token.indexOf('.');
  if (dot < 1 || dot > MAX_HEADER_LENGTH) return undefined;
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
  const header = parseObject(Buffer.from(token.slice(0, dot), 'base64url').toString('utf8'));
  if (!header || Object.keys(header).some((name) => !KNOWN.has(name))) return undefined;
  const { alg, kid, typ } = header as Record<'alg' | 'kid' | 'typ', unknown>;
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return undefined;
  if (typ !== undefined && (typeof typ !== 'string' || typ.toUpperCase() !== 'JWT'))
    return undefined;
  return { alg, kid };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
