export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** One account at an upstream, wherever its password comes from. */
export interface CredentialSource {
  /** Names the account among those of its upstream, without telling anything of it. */
  readonly name: string;
  /** The account as it is now; undefined when it cannot be had, of which `problem` then tells. Throws the reason of `signal` alone. */
  current(signal: AbortSignal): Promise<Credentials | undefined>;
  /** The upstream refused them: what was kept may be outdated. */
  refused(): void;
  /** Why `current` had nothing the last time, without secrets. */
  problem(): string | undefined;
}
