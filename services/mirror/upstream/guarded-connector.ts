import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

import { buildConnector } from 'undici';

import type { AddressGuard } from './address-guard.ts';
import { UpstreamFault } from './outcome.ts';

/** The part of dns.lookup that is used: all addresses of a host. */
export type LookupAll = (
  hostname: string,
  options: { readonly all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface GuardedConnectorOptions {
  readonly guard: AddressGuard;
  /** Origins that were configured: wherever they are. */
  readonly trustedOrigins: ReadonlySet<string>;
  /** The upstream's own origin, whose address tells which networks it may lead to. */
  readonly ownOrigin: string;
  readonly timeoutMs: number;
  readonly tls: ConnectionOptions;
  readonly lookup?: LookupAll;
}

/**
 * Connects to hosts that an upstream names. The address that is checked is the one that the connection is made to: it
 * comes from the same look-up, so that a name that changes its address between two look-ups gains nothing (DNS
 * rebinding).
 */
export function guardedConnector(options: GuardedConnectorOptions): buildConnector.connector {
  const { guard, trustedOrigins, ownOrigin, timeoutMs: timeout, tls } = options;
  const common = { timeout, allowH2: false, ...tls } as buildConnector.BuildOptions;
  const open = buildConnector(common);
  // `lookup` is an option of net.connect, to which undici passes what it does not know.
  const lookup = guardedLookup(guard, options.lookup ?? systemLookup);
  const guarded = buildConnector({ ...common, lookup });
  return (target, callback) => {
    const origin = `${target.protocol}//${target.host ?? target.hostname}`;
    if (!trustedOrigins.has(origin)) {
      const literal = target.hostname.replace(/^\[|\]$/g, '');
      if (isIP(literal) !== 0 && !guard.allows(literal)) callback(forbiddenAddress(literal), null);
      else guarded(target, callback);
      return;
    }
    open(target, (...[error, socket]) => {
      if (socket && origin === ownOrigin && socket.remoteAddress !== undefined) {
        guard.noteOwn(socket.remoteAddress);
      }
      if (error) callback(error, null);
      else callback(null, socket);
    });
  };
}

function guardedLookup(guard: AddressGuard, lookupAll: LookupAll): LookupFunction {
  return (hostname, options, callback) => {
    lookupAll(hostname, { ...options, all: true }, (error, addresses) => {
      const allowed = error ? [] : addresses.filter(({ address }) => guard.allows(address));
      const [first] = allowed;
      if (!first) callback(error ?? forbiddenAddress(hostname), options.all === true ? [] : '', 4);
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

/** What the upstream named is not connected to. */
export const forbiddenAddress = (host: string): UpstreamFault =>
  new UpstreamFault(
    'redirect',
    `the upstream leads to ${host}, an address within a network that is not its own`,
  );
