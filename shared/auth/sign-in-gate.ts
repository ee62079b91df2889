import type { PasswordVerdict } from './password-source.ts';

/** Somebody who wants to sign in. */
export interface Attempt {
  readonly username: string;
  /** The client's address, as far as trusted proxies tell it. */
  readonly address: string;
}

/** Stands before the comparison of a password: decides whether it may be made now, and learns what came of it. */
export interface SignInGate {
  /** What `check` answers. Throws RegistryError instead where it may not be asked; passes on what `check` throws. */
  attempt(
    attempt: Attempt,
    signal: AbortSignal,
    check: () => Promise<PasswordVerdict>,
  ): Promise<PasswordVerdict>;
}

/** Lets everybody through. */
export const OPEN_GATE: SignInGate = { attempt: (_attempt, _signal, check) => check() };
