import { hash } from 'node:crypto';

import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';

import type { Clock } from '../../lifecycle/clock.ts';
import { type BearerPrincipal, grantsOf, OWN_CLAIMS } from './claims.ts';
import { readTokenHeader } from './token-header.ts';
import { TOKEN_ALGORITHM, type TokenKeys } from './token-keys.ts';

/** Clocks of issuer and verifier may differ by this. */
const LEEWAY_SECONDS = 60;

/** Tells what a token permits. */
export interface TokenVerifier {
  /** Undefined for a token that is not valid now, whatever is wrong with it. */
  verify(token: string): Promise<BearerPrincipal | undefined>;
}

export interface VerifierOptions {
  readonly keys: Pick<TokenKeys, 'find'>;
  readonly issuer: string;
  /** Whose tokens these are. */
  readonly service: string;
  readonly clock: Clock;
}

/** Verifies our own tokens by the keys alone: nobody is asked. */
export class OwnTokenVerifier implements TokenVerifier {
  readonly #options: VerifierOptions;

  constructor(options: VerifierOptions) {
    this.#options = options;
  }

  async verify(token: string): Promise<BearerPrincipal | undefined> {
    const header = readTokenHeader(token);
    if (header?.alg !== TOKEN_ALGORITHM || header.kid === undefined) return undefined;
    const { keys, issuer, service, clock } = this.#options;
    const key = await keys.find(header.kid);
    if (!key) return undefined;
    const verified = verifiedClaims(() =>
      jwt.verify(token, key, {
        algorithms: [TOKEN_ALGORITHM],
        issuer,
        audience: service,
        clockTolerance: LEEWAY_SECONDS,
        clockTimestamp: Math.floor(clock.now().getTime() / 1000),
      }),
    );
    // An audience that is a list may name others, who could use the token here.
    if (typeof verified !== 'object' || verified.aud !== service) return undefined;
    const claims = OWN_CLAIMS.safeParse(verified);
    if (!claims.success) return undefined;
    const { sub, access, identity } = claims.data;
    return {
      kind: 'bearer',
      subject: sub,
      grants: grantsOf(access),
      ...(identity && { identity: { ...identity, name: sub } }),
      expiresAt: claims.data.exp + LEEWAY_SECONDS,
    };
  }
}

function verifiedClaims(verify: () => string | jwt.JwtPayload): string | jwt.JwtPayload {
  try {
    return verify();
  } catch (error) {
    if (error instanceof jwt.JsonWebTokenError) return '';
    throw error;
  }
}

const REMEMBERED = 20_000;

/** Remembers what was verified until it lapses: every request of a pull brings the same token. */
export class RememberedTokens implements TokenVerifier {
  readonly #inner: TokenVerifier;
  readonly #clock: Clock;
  readonly #known = new LRUCache<string, BearerPrincipal>({ max: REMEMBERED });

  constructor(inner: TokenVerifier, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  async verify(token: string): Promise<BearerPrincipal | undefined> {
    const key = hash('sha256', token, 'base64');
    const known = this.#known.get(key);
    if (known) {
      if (this.#clock.now().getTime() / 1000 < (known.expiresAt ?? Infinity)) return known;
      this.#known.delete(key);
    }
    const verified = await this.#inner.verify(token);
    if (verified) this.#known.set(key, verified);
    return verified;
  }
}
