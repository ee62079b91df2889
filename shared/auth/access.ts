import type { Identity } from './identity.ts';

/** What a token permits, in the words of the token scope grammar. */
export interface Grant {
  readonly type: 'repository' | 'registry';
  readonly name: string;
  /** `*` stands for all. */
  readonly actions: readonly string[];
  /** The id of the name's project when the token was issued: a project that is made again has another one. */
  readonly projectId?: string;
}

/** Who asks. */
export type Principal =
  | { readonly kind: 'anonymous' }
  /** Somebody with credentials of his own. */
  | { readonly kind: 'identity'; readonly identity: Identity }
  /** Whoever holds a verified token: what it grants, and nothing else. */
  | {
      readonly kind: 'bearer';
      /** Empty: nobody in particular. */
      readonly subject: string;
      readonly grants: readonly Grant[];
      /** Whose token it is, for lists and for what he makes; groups only with a grant for lists. */
      readonly identity?: Identity;
      /** Unix time in seconds, the leeway included. */
      readonly expiresAt?: number;
    };

export const ANONYMOUS: Principal = { kind: 'anonymous' };

/** What is asked for, in the words of the token scope grammar (distribution, docs/spec/auth/scope.md). */
export type Access =
  | {
      readonly type: 'repository';
      readonly name: string;
      readonly action: 'pull' | 'push' | 'delete';
    }
  | { readonly type: 'registry'; readonly name: 'catalog'; readonly action: 'list' };

/** Decides. Anything it does not allow is refused (default deny). */
export interface AccessPolicy {
  allows(principal: Principal, access: Access, signal: AbortSignal): Promise<boolean>;
}

/** The policy of a registry without identities: everybody may do everything. */
export const OPEN_ACCESS: AccessPolicy = { allows: () => Promise.resolve(true) };
