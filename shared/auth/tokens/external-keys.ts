import { createPublicKey, type KeyObject } from 'node:crypto';

import {
  createLocalJWKSet,
  createRemoteJWKSet,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
} from 'jose';

/** Of one request for a set of keys. */
const REQUEST_MS = 4_000;
/** A key that is not there is looked for again no sooner: otherwise every made-up key id would be a request. */
const COOLDOWN_MS = 30_000;
const CACHED_MS = 600_000;
/** RFC 7518 3.3. */
const MIN_RSA_BITS = 2048;
const PEM = /-----BEGIN (CERTIFICATE|PUBLIC KEY|RSA PUBLIC KEY)-----[^-]+-----END \1-----/g;

/** What a token may be verified with. */
export type CandidateKey = KeyObject | JWTVerifyGetKey;

/** The public keys of an issuer of tokens, from wherever they were configured. */
export class ExternalKeys {
  readonly #plain: KeyObject[] = [];
  readonly #sets: JWTVerifyGetKey[] = [];

  /** `url`: of a set that is fetched when it is first needed, and kept for ten minutes. */
  constructor(url?: string) {
    if (url === undefined) return;
    this.#sets.push(
      createRemoteJWKSet(new URL(url), {
        timeoutDuration: REQUEST_MS,
        cooldownDuration: COOLDOWN_MS,
        cacheMaxAge: CACHED_MS,
      }),
    );
  }

  /** The text of a JWKS (RFC 7517). Throws what is wrong with it, in words for the operator. */
  addSet(text: string): void {
    let set: JSONWebKeySet;
    try {
      set = JSON.parse(text) as JSONWebKeySet;
    } catch (cause) {
      throw new Error('it is not JSON', { cause });
    }
    try {
      this.#sets.push(createLocalJWKSet(set));
    } catch (cause) {
      throw new Error('it is no set of keys: {"keys": […]}', { cause });
    }
    if (set.keys.length === 0) throw new Error('it has no keys');
    if (set.keys.some((key) => key.kty === 'oct')) {
      throw new Error('it has a secret key: whoever can check tokens by it can make them');
    }
  }

  /** Certificates and public keys in PEM. Throws what is wrong with them, in words for the operator. */
  addPem(text: string): void {
    const blocks = text.match(PEM) ?? [];
    if (blocks.length === 0) throw new Error('it has no certificate and no public key in PEM');
    const keys = blocks.map((block) => createPublicKey(block));
    if (
      keys.some((key) => (key.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS) < MIN_RSA_BITS)
    ) {
      throw new Error(`it has an RSA key of fewer than ${MIN_RSA_BITS} bits`);
    }
    this.#plain.push(...keys);
  }

  /** Those that a signature of the algorithm may be of; what is here comes before what has to be fetched. */
  candidates(algorithm: string): readonly CandidateKey[] {
    return [...this.#plain.filter((key) => fits(key, algorithm)), ...this.#sets];
  }
}

const CURVES: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

/** RFC 7518 3.1, RFC 8037 3.1. */
function fits({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject, algorithm: string): boolean {
  if (algorithm === 'EdDSA') return asymmetricKeyType === 'ed25519';
  if (/^[RP]S/.test(algorithm)) return asymmetricKeyType === 'rsa';
  return asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === CURVES[algorithm];
}
