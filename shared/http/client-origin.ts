import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { TLSSocket } from 'node:tls';

import type { ClientOrigin } from '../auth/authenticator.ts';

export interface OriginOptions {
  /** Addresses and CIDR blocks of proxies whose X-Forwarded-… headers are heeded. */
  readonly trustedProxies: readonly string[];
  /** Secrets may travel over any connection. */
  readonly allowsInsecure: boolean;
}

/**
 * Where requests come from. `X-Forwarded-For` and `X-Forwarded-Proto` count only as far as listed proxies wrote them;
 * everybody else could write what he likes.
 */
export class ClientOrigins {
  readonly #proxies: BlockList;
  readonly #allowsInsecure: boolean;

  constructor({ trustedProxies, allowsInsecure }: OriginOptions) {
    this.#proxies = blockList(trustedProxies);
    this.#allowsInsecure = allowsInsecure;
  }

  of(http: IncomingMessage): ClientOrigin {
    const peer = plainAddress(http.socket.remoteAddress ?? '');
    const isProxied = has(this.#proxies, peer);
    const address = isProxied ? this.#forwardedFor(http, peer) : peer;
    const told = isProxied ? lastOf(http.headers['x-forwarded-proto'])?.toLowerCase() : undefined;
    const isEncrypted = told === undefined ? http.socket instanceof TLSSocket : told === 'https';
    const isSafe = isEncrypted || this.#allowsInsecure || (!isProxied && isLoopback(peer));
    // A client that we take no secrets from is not sent on without encryption: what ends TLS may be unknown to us.
    const scheme = isEncrypted || !isSafe ? 'https' : 'http';
    return { address, isSafe, baseUrl: `${scheme}://${hostOf(http)}` };
  }

  /** The last address that no listed proxy has. */
  #forwardedFor(http: IncomingMessage, peer: string): string {
    const header = http.headers['x-forwarded-for'];
    const line = Array.isArray(header) ? header.join(',') : (header ?? '');
    let client = peer;
    for (const entry of line.split(',').reverse()) {
      const address = plainAddress(entry.trim());
      if (isIP(address) === 0) break;
      client = address;
      if (!has(this.#proxies, address)) break;
    }
    return client;
  }
}

const hostOf = ({ headers, socket }: IncomingMessage): string =>
  headers.host ?? `localhost:${socket.localPort ?? 0}`;

const lastOf = (header: string | string[] | undefined): string | undefined =>
  (Array.isArray(header) ? header.join(',') : header)?.split(',').at(-1)?.trim();

/** IPv4 as such where a socket of both families has it. */
const plainAddress = (address: string): string => address.replace(/^::ffff:(?=[\d.]+$)/i, '');

const LOOPBACK = blockList(['127.0.0.0/8', '::1']);

const isLoopback = (address: string): boolean => has(LOOPBACK, address);

function has(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

function blockList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    list.addSubnet(
      address,
      bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits),
      family,
    );
  }
  return list;
}
