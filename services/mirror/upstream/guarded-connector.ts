import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { connect, isIP, type LookupFunction, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

import { buildConnector } from 'undici';

import type { AddressGuard } from './address-guard.ts';
import { UpstreamFault } from './outcome.ts';

const KEEP_ALIVE_PROBE_MS = 60_000;

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

/**
 * The same for connections that hand on what they read by themselves. Throws what forbids it; a name that leads to where
 * nobody may go ends the connection with that.
 */
export function openGuarded(
  { guard, trustedOrigins, ownOrigin, tls, lookup: lookupAll }: GuardedConnectorOptions,
  { protocol, hostname, port, origin }: URL,
  onread: OnReadOpts,
): Socket {
  const isTls = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  const isTrusted = trustedOrigins.has(origin);
  if (!isTrusted && isIP(host) !== 0 && !guard.allows(host)) throw forbiddenAddress(host);
  const options = {
    host,
    port: port === '' ? (isTls ? 443 : 80) : Number(port),
    onread,
    ...(!isTrusted && { lookup: guardedLookup(guard, lookupAll ?? systemLookup) }),
  };
  const socket = isTls
    ? connectTls({ ...tls, ...options, servername: isIP(host) === 0 ? host : '' })
    : connect(options);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
  if (origin === ownOrigin) {
    socket.once('connect', () => {
      if (socket.remoteAddress !== undefined) guard.noteOwn(socket.remoteAddress);
    });
  }
  return socket;
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
