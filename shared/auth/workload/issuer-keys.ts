import { createRemoteJWKSet } from 'jose';

import { within } from '../../concurrency/within.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { WorkloadIssuer } from './workload-config.ts';

/** Of one request to an issuer. */
const REQUEST_MS = 4_000;
/** A key that is not there is looked for again no sooner: otherwise every made-up key id would be a request. */
const COOLDOWN_MS = 30_000;
const CACHED_MS = 600_000;
const MAX_DOCUMENT_BYTES = 64 * 1024;

type Keys = ReturnType<typeof createRemoteJWKSet>;

/** The public keys of an issuer, fetched when they are first needed and kept for ten minutes. */
export class IssuerKeys {
  readonly #issuer: WorkloadIssuer;
  readonly #clock: Clock;
  #keys: Promise<Keys> | undefined;
  #failedAtMs = -Infinity;

  constructor(issuer: WorkloadIssuer, clock: Clock) {
    this.#issuer = issuer;
    this.#clock = clock;
  }

  /** Throws when the issuer does not say where its keys are; then for a moment without asking it. */
  async get(signal: AbortSignal): Promise<Keys> {
    if (this.#keys === undefined) {
      const sinceMs = this.#clock.monotonicMs() - this.#failedAtMs;
      if (sinceMs < COOLDOWN_MS / 10) throw new Error('the issuer did not answer a moment ago');
      this.#keys = this.#find();
    }
    const keys = this.#keys;
    try {
      const found = await within(keys, REQUEST_MS, this.#clock);
      signal.throwIfAborted();
      if (!found) throw new Error(`no answer within ${REQUEST_MS} ms`);
      return found;
    } catch (error) {
      if (this.#keys === keys) this.#keys = undefined;
      this.#failedAtMs = this.#clock.monotonicMs();
      throw error;
    }
  }

  async #find(): Promise<Keys> {
    const uri = this.#issuer.jwksUri ?? (await this.#discover());
    return createRemoteJWKSet(new URL(uri), {
      timeoutDuration: REQUEST_MS,
      cooldownDuration: COOLDOWN_MS,
      cacheMaxAge: CACHED_MS,
    });
  }

  /** OpenID Connect Discovery 1.0 section 4, as Kubernetes and CI services answer it. */
  async #discover(): Promise<string> {
    const { issuer } = this.#issuer;
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    const text = await response.text();
    if (!response.ok || text.length > MAX_DOCUMENT_BYTES) {
      throw new Error(`${url} answered ${response.status}`);
    }
    const document = JSON.parse(text) as { issuer?: unknown; jwks_uri?: unknown } | null;
    if (document?.issuer !== issuer || typeof document.jwks_uri !== 'string') {
      throw new Error(`${url} is not the discovery document of ${issuer}`);
    }
    const from = new URL(document.jwks_uri);
    // A document that came encrypted does not send us to keys that do not.
    if (from.protocol !== 'https:' && from.protocol !== new URL(issuer).protocol) {
      throw new Error(`${url} names keys at ${from.protocol}`);
    }
    return from.href;
  }
}
