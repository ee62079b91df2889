import { isIP } from 'node:net';

import type { Config } from '../shared/config/config.ts';
import type { Log } from '../shared/observability/observer.ts';

/** Until there are identities, whoever reaches the port may do everything. */
export function warnOfOpenAccess({ http: { host } }: Config, log: Log): void {
  if (isLoopback(host)) return;
  log.warn(
    { host },
    'everybody who reaches this address may pull, push and delete everything: there are no identities yet',
  );
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
