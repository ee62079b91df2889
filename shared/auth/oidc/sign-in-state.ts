import { hkdfSync } from 'node:crypto';

import { EncryptJWT, jwtDecrypt } from 'jose';

/** How long somebody may take to sign in at the provider. */
const SIGN_IN_SECONDS = 600;

/** What has to be remembered between leaving for the provider and coming back. */
export interface SignInState {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly returnTo: string;
}

const AUDIENCE = 'twinport sign-in';

/** The key to states, the same for all replicas that have the client's secret. */
export const signInStateKey = (clientSecret: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', clientSecret, '', AUDIENCE, 32));

/**
 * Puts the state into a cookie that the browser keeps and cannot read: no store holds anything for people who never
 * come back, and nobody comes back with another browser than he left with. `key` has 32 bytes.
 */
export async function sealState(
  { state, nonce, verifier, returnTo }: SignInState,
  key: Uint8Array,
  now: Date,
): Promise<string> {
  return await new EncryptJWT({ state, nonce, verifier, returnTo })
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .setAudience(AUDIENCE)
    .setExpirationTime(new Date(now.getTime() + SIGN_IN_SECONDS * 1_000))
    .encrypt(key);
}

/** Undefined for what was not sealed here, or too long ago. */
export async function openState(
  sealed: string,
  key: Uint8Array,
  now: Date,
): Promise<SignInState | undefined> {
  try {
    const { payload } = await jwtDecrypt(sealed, key, {
      audience: AUDIENCE,
      requiredClaims: ['exp'],
      currentDate: now,
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    const { state, nonce, verifier, returnTo } = payload;
    const all = [state, nonce, verifier, returnTo];
    if (!all.every((value) => typeof value === 'string')) return undefined;
    return { state, nonce, verifier, returnTo } as unknown as SignInState;
  } catch {
    return undefined;
  }
}
