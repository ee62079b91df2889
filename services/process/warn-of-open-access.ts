import { isIP } from 'node:net';

import type { Config } from '../../shared/config/config.ts';
import type { Log } from '../../shared/observability/observer.ts';

/** Tells what the configuration leaves open, or closes to everybody, beyond this machine. */
export function warnOfOpenAccess({ auth, http: { host, tls } }: Config, log: Log): void {
  if (isLoopback(host)) return;
  if (auth.mode === 'none') {
    log.warn(
      { host },
      'everybody who reaches this address may pull, push and delete everything: AUTH_MODE is none',
    );
  } else if (
    auth.mode !== 'external' &&
    !tls &&
    auth.trustedProxies.length === 0 &&
    !auth.allowsInsecure
  ) {
    log.warn(
      { host },
      'passwords from other machines will be refused, because they come over plain HTTP: set HTTP_TLS_CERTIFICATE and HTTP_TLS_KEY, or TRUSTED_PROXIES to the proxy that ends TLS',
    );
  }
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
