import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import type { Clock } from '../../../shared/lifecycle/clock.ts';

/** What a signature stands for: one request to one process. */
export interface SignedRequest {
  /** Host and port of the process that is asked. */
  readonly audience: string;
  /** With its query. */
  readonly path: string;
}

const SCHEME = 'Twinport-HMAC-SHA256';
const HEADER = /^Twinport-HMAC-SHA256 (\d{1,15})\.([0-9a-f]{32})\.([0-9a-f]{64})$/;
/** How far the clocks of two processes may be apart, and how long a request is good for. */
export const MAX_SKEW_MS = 30_000;
/** More requests than that within a minute are refused. */
const MAX_NONCES = 100_000;

/** The value of `Authorization` for one request that is sent now. */
export function signRequest(secret: string, request: SignedRequest, now: Date): string {
  const time = String(now.getTime());
  const nonce = randomBytes(16).toString('hex');
  const mac = macOf(secret, request, time, nonce).toString('hex');
  return `${SCHEME} ${time}.${nonce}.${mac}`;
}

const macOf = (
  secret: string,
  { audience, path }: SignedRequest,
  time: string,
  nonce: string,
): Buffer =>
  createHmac('sha256', secret)
    .update(['twinport internal 1', 'GET', audience, path, time, nonce].join('\n'))
    .digest();

/** Accepts each signed request once, while it is new. */
export class SignatureCheck {
  readonly #clock: Clock;
  /** Nonces that were used, oldest first, with the time after which their requests are too old anyway. */
  readonly #used = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  accepts(secret: string, request: SignedRequest, authorization: string | undefined): boolean {
    const [, time = '', nonce = '', mac = ''] = HEADER.exec(authorization ?? '') ?? [];
    const expected = macOf(secret, request, time, nonce);
    const given = Buffer.from(mac.padEnd(64, '0'), 'hex');
    if (!timingSafeEqual(expected, given) || mac === '') return false;
    const nowMs = this.#clock.now().getTime();
    if (Math.abs(nowMs - Number(time)) > MAX_SKEW_MS) return false;
    return this.#useOnce(nonce, nowMs);
  }

  #useOnce(nonce: string, nowMs: number): boolean {
    for (const [old, untilMs] of this.#used) {
      if (untilMs >= nowMs) break;
      this.#used.delete(old);
    }
    if (this.#used.has(nonce) || this.#used.size >= MAX_NONCES) return false;
    // Signed up to one skew ahead, and good for one more.
    this.#used.set(nonce, nowMs + 2 * MAX_SKEW_MS);
    return true;
  }
}
