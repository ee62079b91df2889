import { errors, jwtVerify, type JWTPayload, type JWTVerifyResult } from 'jose';
import { z } from 'zod';

import type { Clock } from '../../lifecycle/clock.ts';
import { registryError } from '../../oci/errors.ts';
import { ACCESS_LIST, type BearerPrincipal, grantsOf } from './claims.ts';
import type { CandidateKey, ExternalKeys } from './external-keys.ts';
import { readTokenHeader } from './token-header.ts';
import type { TokenVerifier } from './token-verifier.ts';

/** Clocks of issuer and verifier may differ by this. */
const LEEWAY_SECONDS = 60;

const CLAIMS = z.object({
  sub: z.string().max(256).default(''),
  exp: z.number(),
  access: ACCESS_LIST.nullish(),
});

export interface ExternalVerifierOptions {
  readonly keys: ExternalKeys;
  readonly issuer: string;
  /** Whose tokens these are. */
  readonly service: string;
  readonly algorithms: readonly string[];
  readonly clock: Clock;
}

/**
 * Verifies tokens of another issuer (distribution, docs/spec/auth/jwt.md): signature, issuer, audience and time; what they
 * grant is theirs to say. Keys and places of keys that a token brings itself are refused.
 */
export class ExternalTokenVerifier implements TokenVerifier {
  readonly #options: ExternalVerifierOptions;

  constructor(options: ExternalVerifierOptions) {
    this.#options = options;
  }

  /** Throws UNAVAILABLE (503) when keys have to be fetched and cannot be. */
  async verify(token: string): Promise<BearerPrincipal | undefined> {
    const { keys, algorithms } = this.#options;
    const header = readTokenHeader(token);
    if (!header || !algorithms.includes(header.alg)) return undefined;
    for (const key of keys.candidates(header.alg)) {
      const claims = await this.#claims(token, key, header.alg);
      if (claims) return this.#principal(claims);
    }
    return undefined;
  }

  async #claims(
    token: string,
    key: CandidateKey,
    algorithm: string,
  ): Promise<JWTPayload | undefined> {
    const { issuer, service, clock } = this.#options;
    const options = {
      issuer,
      audience: service,
      algorithms: [algorithm],
      clockTolerance: LEEWAY_SECONDS,
      requiredClaims: ['exp'],
      currentDate: clock.now(),
    };
    try {
      return (await verifiedBy(token, key, options)).payload;
    } catch (error) {
      if (!isOfKeys(error)) return undefined;
      throw registryError('UNAVAILABLE', {
        message: 'tokens cannot be checked at present',
        headers: { 'Retry-After': '5' },
        cause: error,
      });
    }
  }

  #principal(payload: JWTPayload): BearerPrincipal | undefined {
    const claims = CLAIMS.safeParse(payload);
    if (!claims.success) return undefined;
    const { sub, exp, access } = claims.data;
    const id = `external:${this.#options.issuer}#${sub}`;
    return {
      kind: 'bearer',
      subject: sub,
      // Ids of projects are for our own tokens.
      grants: grantsOf(access ?? []).map(({ type, name, actions }) => ({ type, name, actions })),
      ...(sub !== '' && {
        identity: { kind: 'user', id, name: sub, groups: [], isAdmin: false },
      }),
      expiresAt: exp + LEEWAY_SECONDS,
    };
  }
}

type VerifyOptions = NonNullable<Parameters<typeof jwtVerify>[2]>;

/** jose knows the two kinds of keys by two signatures. */
const verifiedBy = (
  token: string,
  key: CandidateKey,
  options: VerifyOptions,
): Promise<JWTVerifyResult> =>
  typeof key === 'function' ? verifiedBySet(token, key, options) : jwtVerify(token, key, options);

/** A token that names no key may be of any that fits. */
async function verifiedBySet(
  token: string,
  set: Extract<CandidateKey, (...args: never[]) => unknown>,
  options: VerifyOptions,
): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, set, options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      try {
        return await jwtVerify(token, key, options);
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
      }
    }
    throw error;
  }
}

/** The keys could not be had, which says nothing about the token. jose's word for a wrong answer is its basic error. */
function isOfKeys(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return true;
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true;
  return error.constructor === errors.JOSEError;
}
