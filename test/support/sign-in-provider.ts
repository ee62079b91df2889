/** Somebody whom a provider knows. */
export interface ProviderPerson {
  /** In small letters. */
  readonly name: string;
  /** With a slash before each, and between a group and one within it. */
  readonly groups: readonly string[];
}

/** An OpenID Connect provider on loopback, with a client for the server under test. */
export interface SignInProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** What AUTH_OIDC_SCOPES has to name, so that it tells names and groups. */
  readonly scopes: string;
  /** Who the person is in ID tokens. */
  subjectOf(name: string): string;
  /** Follows the provider's pages in a new browser, signs in there, until it is sent to the callback. */
  visit(url: string, name: string): Promise<URL>;
  /** Takes somebody out of all groups. */
  leaveGroups(name: string): Promise<void>;
  stop(): Promise<void>;
}

export type StartSignInProvider = (
  callbackUrl: string,
  people: readonly ProviderPerson[],
) => Promise<SignInProvider>;
