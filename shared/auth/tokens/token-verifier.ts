import { hash } from 'node:crypto';

import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';

import type { Clock } from '../../lifecycle/clock.ts';
import { type BearerPrincipal, grantsOf, OWN_CLAIMS } from './claims.ts';
import { readTokenHeader } from './token-header.ts';
import { TOKEN_ALGORITHM, type TokenKeys } from './token-keys.ts';

/** Clocks of issuer and verifier may differ by this. */
const LEEWAY_SECONDS = 60;
/** The longest that AUTH_TOKEN_SECONDS may be. */
const MAX_LIFE_SECONDS = 3_600;

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
    const { sub, access, identity, iat, exp } = claims.data;
    // Nobody who keeps to the rules makes one that is good for longer.
    if (exp - iat > MAX_LIFE_SECONDS) return undefined;
    return {
      kind: 'bearer',
      subject: sub,
      grants: grantsOf(access),
      ...(identity && { identity: { ...identity, name: sub } }),
      expiresAt: exp + LEEWAY_SECONDS,
    };
  }
}

/** The library throws its own errors, and those of whatever it stumbles over: a payload, a signature that is none. */
function verifiedClaims(verify: () => string | jwt.JwtPayload): string | jwt.JwtPayload {
  try {
    return verify();
  } catch {
    return '';
  }
}

const REMEMBERED = 20_000;
interface Remembered {
  readonly principal: BearerPrincipal;
  readonly untilMs: number;
}

/** So long a token outlives its key. */
const REMEMBERED_MS = 60_000;

/** Remembers what was verified for a minute, and until it lapses: every request of a pull brings the same token. */
export class RememberedTokens implements TokenVerifier {
  readonly #inner: TokenVerifier;
  readonly #clock: Clock;
  readonly #known = new LRUCache<string, Remembered>({ max: REMEMBERED });

  constructor(inner: TokenVerifier, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  async verify(token: string): Promise<BearerPrincipal | undefined> {
    const key = hash('sha256', token, 'base64');
    const known = this.#known.get(key);
    const nowMs = this.#clock.now().getTime();
    if (known && nowMs < known.untilMs) return known.principal;
    this.#known.delete(key);
    const principal = await this.#inner.verify(token);
    if (principal) {
      const lapsesMs = (principal.expiresAt ?? Infinity) * 1_000;
      this.#known.set(key, { principal, untilMs: Math.min(lapsesMs, nowMs + REMEMBERED_MS) });
    }
    return principal;
  }
}
