import type { UpstreamConfig } from '../../../../shared/config/upstream-config.ts';
import type { Clock } from '../../../../shared/lifecycle/clock.ts';
import type { CredentialSource } from './credential-source.ts';
import { FileCredentials } from './file-credentials.ts';
import { HelperCredentials } from './helper-credentials.ts';

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
