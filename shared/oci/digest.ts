import { createHash, type Hash } from 'node:crypto';

/** A content digest `<algorithm>:<lower-case hex>` of a registered algorithm (OCI image-spec, descriptor.md#digests). */
export type Digest = string & { readonly __brand: 'Digest' };

/** The algorithms accepted as identity. */
export type DigestAlgorithm = 'sha256' | 'sha512';

const HEX_LENGTH: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 };
const DIGEST = /^(sha256|sha512):([0-9a-f]{64}|[0-9a-f]{128})$/;

/** A digest of a supported algorithm with exactly its length of lower-case hex, or undefined. */
export function parseDigest(input: string): Digest | undefined {
  const match = DIGEST.exec(input);
  if (!match) return undefined;
  const [, algorithm, hex] = match as unknown as [string, DigestAlgorithm, string];
  return HEX_LENGTH[algorithm] === hex.length ? (input as Digest) : undefined;
}

/** `sha256` or `sha512`, or undefined for any other word. */
export function parseDigestAlgorithm(input: string): DigestAlgorithm | undefined {
  return input === 'sha256' || input === 'sha512' ? input : undefined;
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm;
}

/** The hex part alone. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** A running hash; finish it with `finishDigest`. */
export function startDigest(algorithm: DigestAlgorithm): Hash {
  return createHash(algorithm);
}

export function finishDigest(algorithm: DigestAlgorithm, hash: Hash): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}

/** The digest of bytes in memory. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return finishDigest(algorithm, startDigest(algorithm).update(bytes));
}
