import type { Identity } from './identity.ts';

/** A user name and a secret, as Basic credentials or a token request bring them. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Somebody who has just proved who he is. */
export interface ProvedIdentity extends Identity {
  /**
   * Of the password that was compared, as `StandingIdentity` has it: what is given for one that was changed meanwhile is
   * worth nothing. Absent where the source cannot tell later whether it still holds.
   */
  readonly stamp?: string;
}

/** What a source says about credentials. */
export type PasswordVerdict = ProvedIdentity | 'wrong' | 'unknown';

/** What a source says today of somebody who was signed in before. */
export interface StandingIdentity {
  readonly identity: Identity;
  /** Changes with the password: what was given for another one ends. Says nothing about it. */
  readonly stamp: string;
}

/** One of several that are asked in order who somebody is. */
export interface PasswordSource {
  /** For log lines and configuration: local, robot, htpasswd, ldap, cli-password, workload. */
  readonly name: string;
  /** Asks another program: it is never sent a secret that this registry made. */
  readonly isElsewhere?: true;
  /** Credentials of a kind that nobody else knows: no other source is asked, or sees them. */
  takesAlone?(credentials: Credentials): boolean;
  /**
   * `unknown`: this source does not know the user name (or the kind of secret), another may. `wrong`: it does, and the
   * password is not right, or the account is disabled. Takes as long for the unknown as for the wrong. Where there is
   * more to do than can be done at once, networks take turns. Throws IdentitySourceError when it cannot be asked.
   */
  check(credentials: Credentials, signal: AbortSignal, network: string): Promise<PasswordVerdict>;
  /**
   * Somebody of this source by the id of his identity, as he is today; undefined when he is not of it, gone or disabled.
   * A source without it cannot tell, puts no stamp into its verdicts, and its people get no refresh tokens.
   */
  standing?(id: string, signal: AbortSignal): Promise<StandingIdentity | undefined>;
}

/** A source of identities cannot be asked: a new sign-in is answered 503, never taken for a wrong password. */
export class IdentitySourceError extends Error {
  override readonly name = 'IdentitySourceError';
  readonly source: string;

  constructor(source: string, options: { readonly cause: unknown }) {
    super(`the identities of ${source} cannot be asked for`, options);
    this.source = source;
  }
}
