/** Who asks. Until an identity source is configured everyone is anonymous. */
export type Principal =
  { readonly kind: 'anonymous' } | { readonly kind: 'user'; readonly name: string };

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
