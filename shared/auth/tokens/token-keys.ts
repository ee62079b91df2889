import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

import type { JWK } from 'jose';

/** Tokens are signed by this one, and nothing else is believed (RFC 7518, 3.4). */
export const TOKEN_ALGORITHM = 'ES256';

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
}

/** The keys of our own tokens. */
export interface TokenKeys {
  /** Throws StorageError when there is none and none can be made. */
  signing(): Promise<SigningKey>;
  /** The public key that the id names among those that are believed today; ids of nobody cost next to nothing. */
  find(kid: string): Promise<KeyObject | undefined>;
  /** For `/auth/jwks.json`. */
  published(): Promise<readonly JWK[]>;
}

/** Throws when it is no key of the curve that the algorithm has. */
export function requireTokenKey(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    return key;
  }
  throw new Error(
    'it is no elliptic curve key of P-256 (openssl ecparam -name prime256v1 -genkey)',
  );
}

export const publicKeyOf = (key: KeyObject): KeyObject =>
  key.type === 'public' ? key : createPublicKey(key);

/** The thumbprint of a key (RFC 7638). */
export function keyId(key: KeyObject): string {
  const { crv, kty, x, y } = publicKeyOf(key).export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}

/** As it is published (RFC 7517). */
export const publishedKey = (kid: string, key: KeyObject): JWK => ({
  ...publicKeyOf(key).export({ format: 'jwk' }),
  kid,
  use: 'sig',
  alg: TOKEN_ALGORITHM,
});
