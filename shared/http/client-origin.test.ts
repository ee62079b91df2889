import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { Socket } from 'node:net';

import { describe, expect, test } from '@jest/globals';

import { ClientOrigins } from './client-origin.ts';

interface Scene {
  readonly peer: string;
  readonly headers?: Record<string, string>;
  readonly isTls?: boolean;
  readonly proxies?: readonly string[];
  readonly allowsInsecure?: boolean;
}

function originOf({ peer, headers = {}, isTls, proxies = [], allowsInsecure = false }: Scene) {
  const socket = isTls === true ? new TLSSocket(new Socket()) : new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: peer });
  const http = { headers: { host: 'r.example:5000', ...headers }, socket };
  const origins = new ClientOrigins({ trustedProxies: proxies, allowsInsecure });
  return origins.of(http as unknown as IncomingMessage);
}

describe('where a request comes from', () => {
  test('is the address of the connection, whatever its headers say', () => {
    const headers = { 'x-forwarded-for': '10.9.9.9', 'x-forwarded-proto': 'https' };
    expect(originOf({ peer: '::ffff:192.0.2.1', headers })).toEqual({
      address: '192.0.2.1',
      isSafe: false,
      baseUrl: 'https://r.example:5000',
    });
  });

  test('is told by a listed proxy, which is believed as far as listed proxies wrote', () => {
    const proxies = ['10.0.0.0/8', 'fd00::/8'];
    const headers = { 'x-forwarded-proto': 'https' };
    const from = (forwarded: string, peer = '10.0.0.1') =>
      originOf({ peer, proxies, headers: { ...headers, 'x-forwarded-for': forwarded } }).address;
    expect(from('192.0.2.1')).toBe('192.0.2.1');
    expect(from('6.6.6.6, 192.0.2.1, 10.0.0.7')).toBe('192.0.2.1');
    expect(from('2001:db8::1', 'fd00::2')).toBe('2001:db8::1');
    expect(from('nonsense')).toBe('10.0.0.1');
    expect(from('', '10.0.0.1')).toBe('10.0.0.1');
  });

  test('is safe with TLS here or at a listed proxy, on this machine, or where that is allowed', () => {
    const proxied = { peer: '10.0.0.1', proxies: ['10.0.0.1'] };
    const https = { 'x-forwarded-proto': 'https' };
    const isSafe = (scene: Scene): boolean => originOf(scene).isSafe;
    expect(isSafe({ peer: '192.0.2.1', isTls: true })).toBe(true);
    expect(isSafe({ ...proxied, headers: https })).toBe(true);
    expect(isSafe({ peer: '127.0.0.1' })).toBe(true);
    expect(isSafe({ peer: '::1' })).toBe(true);
    expect(isSafe({ peer: '192.0.2.1', allowsInsecure: true })).toBe(true);
    expect(isSafe({ peer: '192.0.2.1' })).toBe(false);
    expect(isSafe({ peer: '10.0.0.2', proxies: ['10.0.0.1'], headers: https })).toBe(false);
    expect(isSafe({ ...proxied, headers: { 'x-forwarded-proto': 'http' } })).toBe(false);
    // A proxy on this machine says what the client came by.
    const local = { peer: '127.0.0.1', proxies: ['127.0.0.1'] };
    expect(isSafe({ ...local, headers: { 'x-forwarded-proto': 'http' } })).toBe(false);
  });

  test('is sent on without TLS only where secrets may travel so', () => {
    const url = (scene: Scene): string => originOf(scene).baseUrl;
    expect(url({ peer: '127.0.0.1' })).toBe('http://r.example:5000');
    expect(url({ peer: '192.0.2.1', allowsInsecure: true })).toBe('http://r.example:5000');
    expect(url({ peer: '192.0.2.1' })).toBe('https://r.example:5000');
  });
});
