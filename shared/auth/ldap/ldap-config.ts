/** How people are found in a directory, and who of them is what. */
export interface LdapConfig {
  readonly url: { readonly scheme: 'ldap' | 'ldaps'; readonly host: string; readonly port: number };
  /** Makes an `ldap` connection a TLS one before anything secret is sent. */
  readonly startTls: boolean;
  /** PEM of the authorities that a directory's certificate may come from; undefined: those of Node. */
  readonly certificateAuthorities: string | undefined;
  /** The account that searches; undefined: anonymous searches. */
  readonly account: { readonly dn: string; readonly password: string } | undefined;
  readonly users: {
    readonly base: string;
    /** With `{username}` where the escaped name goes. */
    readonly filter: string;
    /** The attribute that gives the name its one spelling, for example `uid`. */
    readonly nameAttribute: string;
  };
  readonly groups: LdapGroupsConfig | undefined;
  /** Members of this group are administrators: its DN, or the name of one directly below the base of groups. */
  readonly adminGroup: string | undefined;
}

type LdapGroupsConfig =
  /** The user's `memberOf`; names are the first part of each DN, and DNs outside of `base` do not count. */
  | { readonly kind: 'memberOf'; readonly base: string }
  /** Groups below `base` that match `filter`, which may hold `{dn}` and `{username}`. */
  | {
      readonly kind: 'search';
      readonly base: string;
      readonly filter: string;
      readonly nameAttribute: string;
    };
