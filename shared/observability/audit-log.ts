/** What is worth knowing afterwards: who did what, from where, and what came of it. */
export interface AuditEvent {
  readonly action:
    | 'push'
    | 'delete-manifest'
    | 'delete-tag'
    | 'delete-blob'
    | 'sign-in'
    | 'sign-out'
    | 'make-secret'
    | 'revoke-secret'
    | 'change-right';
  /** `denied`: rights or credentials were missing; `failed`: anything else. */
  readonly result: 'done' | 'denied' | 'failed';
  /** Who; undefined: nobody who is known. */
  readonly actor?: AuditActor;
  /** The name that somebody tried to sign in with, proved or not. */
  readonly claimedName?: string;
  /** The client's address, as far as trusted proxies tell it. */
  readonly address?: string;
  /** The kind of credentials or the source of an identity: ldap, oidc, cli-password, token. */
  readonly by?: string;
  readonly repository?: string;
  /** A tag or a digest. */
  readonly reference?: string;
  readonly digest?: string;
  /** What was changed, where it is no content of a repository: a project, a member, a robot, a password's id. */
  readonly subject?: string;
  /** Of the answer. */
  readonly status?: number;
}

export interface AuditActor {
  readonly id: string;
  readonly name: string;
}

/** Takes events as they happen. Never throws and never delays an answer by more than the writing of one line. */
export interface AuditLog {
  record(event: AuditEvent): void;
}
