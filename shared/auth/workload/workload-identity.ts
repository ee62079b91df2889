import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { JWTPayload } from 'jose';

import { globPattern } from '../../content/glob-pattern.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { Identity } from '../identity.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../password-source.ts';
import { IssuerKeys } from './issuer-keys.ts';
import type { WorkloadIssuer } from './workload-config.ts';

/** Tokens of Kubernetes have 1 to 2 KiB; what is longer is not looked at. */
const MAX_TOKEN_CHARACTERS = 16 * 1024;
const MAX_SUBJECT_CHARACTERS = 256;
const SKEW_SECONDS = 60;
const COMPACT = /^[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}$/;
/** Headers by which a token would bring its own key, or ask for what we do not understand (RFC 7515 4.1). */
const REFUSED_HEADERS = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip'];

interface KnownIssuer extends WorkloadIssuer {
  readonly keys: IssuerKeys;
  readonly rules: readonly { readonly group: string; fits(claims: JWTPayload): boolean }[];
}

/**
 * Programs sign in with a token of the platform they run on, as the password and with any user name. Issuer, audience,
 * algorithms and lifetime are checked, keys come from the configured issuers alone, and a token that belongs to none of
 * the configured groups is wrong.
 */
export class WorkloadIdentity implements PasswordSource {
  readonly name = 'workload';
  readonly isElsewhere = true;
  readonly #issuers: ReadonlyMap<string, KnownIssuer>;
  readonly #clock: Clock;

  constructor(issuers: readonly WorkloadIssuer[], clock: Clock) {
    this.#clock = clock;
    this.#issuers = new Map(
      issuers.map((issuer) => [
        issuer.issuer,
        {
          ...issuer,
          keys: new IssuerKeys(issuer, clock),
          rules: issuer.groups.map(({ group, claim, pattern }) => {
            const fitting = globPattern(pattern);
            return {
              group,
              fits: (claims) => valuesAt(claims, claim).some((value) => fitting.test(value)),
            };
          }),
        },
      ]),
    );
  }

  /** Tokens that say they are of one of the issuers: no directory is sent such a thing. */
  takesAlone({ password }: Credentials): boolean {
    return this.#issuerOf(password) !== 'none';
  }

  async check({ password }: Credentials, signal: AbortSignal): Promise<PasswordVerdict> {
    const issuer = this.#issuerOf(password);
    if (issuer === 'none') return 'unknown';
    if (issuer === 'refused') return 'wrong';
    try {
      const { payload } = await jwtVerify(password, await issuer.keys.get(signal), {
        issuer: issuer.issuer,
        audience: issuer.audience,
        algorithms: [...issuer.algorithms],
        clockTolerance: SKEW_SECONDS,
        requiredClaims: ['exp', 'iat', 'sub'],
        currentDate: this.#clock.now(),
      });
      return identityOf(issuer, payload) ?? 'wrong';
    } catch (cause) {
      if (cause instanceof errors.JOSEError && !(cause instanceof errors.JWKSTimeout)) {
        return isAnswerOfKeys(cause) ? this.#cannotAsk(cause) : 'wrong';
      }
      return this.#cannotAsk(cause);
    }
  }

  #cannotAsk(cause: unknown): never {
    throw new IdentitySourceError(this.name, { cause });
  }

  /** By what the token claims, which proves nothing yet. */
  #issuerOf(token: string): KnownIssuer | 'none' | 'refused' {
    if (token.length > MAX_TOKEN_CHARACTERS || !COMPACT.test(token)) return 'none';
    try {
      const known = this.#issuers.get(decodeJwt(token).iss ?? '');
      if (!known) return 'none';
      const header = decodeProtectedHeader(token);
      return REFUSED_HEADERS.some((name) => name in header) ? 'refused' : known;
    } catch {
      return 'none';
    }
  }
}

/** jose's word for a set of keys that came and was none. */
const isAnswerOfKeys = (error: errors.JOSEError): boolean =>
  error instanceof errors.JWKSInvalid || error.constructor === errors.JOSEError;

function identityOf(issuer: KnownIssuer, claims: JWTPayload): Identity | undefined {
  const { sub } = claims;
  if (sub === undefined || sub === '' || sub.length > MAX_SUBJECT_CHARACTERS) return undefined;
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(sub)) return undefined;
  const groups = issuer.rules.filter((rule) => rule.fits(claims)).map(({ group }) => group);
  if (groups.length === 0) return undefined;
  return {
    kind: 'robot',
    id: `workload:${issuer.issuer}#${sub}`,
    name: sub,
    groups: [...new Set(groups)].map((group) => `workload:${group}`),
    isAdmin: false,
  };
}

/** The texts at a path of claims; a list counts with each of its entries. */
function valuesAt(claims: JWTPayload, path: string): string[] {
  let value: unknown = claims;
  for (const part of path.split('/')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return [];
    value = (value as Record<string, unknown>)[part];
  }
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((each) => typeof each === 'string');
}
