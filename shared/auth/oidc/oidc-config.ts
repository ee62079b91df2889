/** An OpenID Connect provider, and what its claims mean here. */
export interface OidcConfig {
  /** As the provider writes it in its tokens. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Where the provider sends people back to, as it is registered there: made of configuration, never of a request. */
  readonly callbackUrl: string;
  readonly scopes: readonly string[];
  /** The claim that shows people's names; rights never hang on it. */
  readonly nameClaim: string;
  readonly groupsClaim: string;
  /** Members of this group are administrators. */
  readonly adminGroup: string | undefined;
}
