import type { UpstreamConfig } from '../../../../shared/config/upstream-config.ts';
import type { Clock } from '../../../../shared/lifecycle/clock.ts';
import { FileCredentials } from './file-credentials.ts';
import { HelperCredentials } from './helper-credentials.ts';

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

/** The accounts of an upstream in the order of its configuration. */
export const createCredentialSources = (
  upstream: UpstreamConfig,
  clock: Clock,
): CredentialSource[] =>
  upstream.credentials.map((credential, index) => {
    const name = `account-${index + 1}`;
    switch (credential.kind) {
      case 'password':
        return {
          name,
          current: () => Promise.resolve(credential),
          refused: () => undefined,
          problem: () => undefined,
        };
      case 'file':
        return new FileCredentials(name, credential.username, credential.passwordFile);
      case 'helper':
        return new HelperCredentials(name, credential, {
          server: new URL(upstream.url).host,
          clock,
        });
    }
  });
