import { ANONYMOUS, type Principal } from '../auth/access.ts';
import type { Identity } from '../auth/identity.ts';

/** Who calls the management API. */
export type Caller =
  /** Somebody, where everybody may do everything. */
  | { readonly kind: 'everybody' }
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'identity';
      readonly identity: Identity;
      /** By what he proved it. */
      readonly by: 'password' | 'cli-password' | 'session';
      /** Of his session. */
      readonly sessionToken?: string;
    };

export const identityOf = (caller: Caller): Identity | undefined =>
  caller.kind === 'identity' ? caller.identity : undefined;

/** As rights to repositories are asked for. */
export const principalOf = (caller: Caller): Principal =>
  caller.kind === 'identity' ? { kind: 'identity', identity: caller.identity } : ANONYMOUS;
