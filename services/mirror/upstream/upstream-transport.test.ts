import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { TLSSocket } from 'node:tls';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { UPSTREAM_DEFAULTS } from '../../../shared/config/built-in-upstreams.ts';
import type { ProxyConfig } from '../../../shared/config/config.ts';
import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import { TLS_PAIRS } from '../../../shared/http/testing/tls-pairs.ts';
import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { UpstreamTransport } from './upstream-transport.ts';

let folder = '';
let ofBlobs = false;
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'transport-'));
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
  await rm(folder, { recursive: true });
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function file(name: string, content: string): Promise<string> {
  await writeFile(path.join(folder, name), content);
  return path.join(folder, name);
}

interface Settings extends Partial<UpstreamConfig> {
  readonly url: string;
  readonly proxies?: ProxyConfig;
}

function transport({ proxies, ...upstream }: Settings, clock = new ManualClock()) {
  const made = new UpstreamTransport({
    upstream: { ...UPSTREAM_DEFAULTS, ...upstream },
    clock,
    ...(proxies && { proxies }),
  });
  closers.push(() => made.close());
  return async (url: string = upstream.url): Promise<string> => {
    const target = new URL(url);
    const ask = async (isBlob: boolean): Promise<string> => {
      const request = { url: target, method: 'GET', headers: {}, isBlob } as const;
      return text((await made.request(request, new AbortController().signal)).body);
    };
    const answer = await ask(false);
    if (ofBlobs) {
      // The first one tells that the upstream has its blobs itself; then they have connections of their own.
      await ask(true);
      expect(await ask(true)).toBe(answer);
      expect(await ask(true)).toBe(answer);
    }
    return answer;
  };
}

describe.each([false, true])('TLS towards an upstream (for blobs: %s)', (isForBlobs) => {
  let url = '';
  beforeEach(() => {
    ofBlobs = isForBlobs;
  });
  beforeEach(async () => {
    const { certificate, key } = TLS_PAIRS.loopback;
    const server = createHttpsServer(
      { cert: certificate, key, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        const { socket } = request;
        const certificate =
          socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
        const name = /^CN=(.*)$/m.exec(certificate?.subject ?? '')?.[1] ?? 'nobody';
        response.setHeader('connection', 'close').end(`for ${name}`);
      },
    );
    url = `https://127.0.0.1:${await listen(server)}`;
  });

  test('takes no certificate that nobody vouches for', async () => {
    await expect(transport({ url })()).rejects.toThrow();
  });

  test('takes that of an authority of its own, in a file that may change', async () => {
    const clock = new ManualClock();
    const caFile = await file('ca.pem', TLS_PAIRS.one.certificate);
    const get = transport({ url, caFile }, clock);
    await expect(get()).rejects.toThrow();
    await file('ca.pem', TLS_PAIRS.loopback.certificate);
    clock.advance(11_000);
    expect(await get()).toBe('for nobody');
    await rm(caFile);
    clock.advance(11_000);
    expect(await get()).toBe('for nobody');
  });

  test('takes any where the upstream is said to be insecure', async () => {
    expect(await transport({ url, insecure: true })()).toBe('for nobody');
  });

  test('shows a client certificate to the upstream, and to nobody else that it names', async () => {
    const settings = {
      caFile: await file('ca.pem', TLS_PAIRS.loopback.certificate),
      clientCertificateFile: await file('client.pem', TLS_PAIRS.two.certificate),
      clientKeyFile: await file('client.key', TLS_PAIRS.two.key),
    };
    expect(await transport({ url, ...settings })()).toBe('for two');
    const elsewhere = transport({ url: 'https://127.0.0.3', ...settings });
    await expect(elsewhere(url)).rejects.toThrow('not its own');
    const listed = transport({
      url: 'https://127.0.0.3',
      ...settings,
      authHosts: [new URL(url).host],
    });
    expect(await listed(url)).toBe('for two');
  });
});

describe('a proxy on the way', () => {
  beforeEach(() => {
    ofBlobs = false;
  });
  let upstreamUrl = '';
  let secureUrl = '';
  let proxyUrl = '';
  let asked: string[] = [];

  beforeEach(async () => {
    asked = [];
    upstreamUrl = `http://127.0.0.1:${await listen(
      createHttpServer((_, response) => void response.end('direct')),
    )}`;
    const { certificate, key } = TLS_PAIRS.loopback;
    secureUrl = `https://127.0.0.1:${await listen(
      createHttpsServer({ cert: certificate, key }, (_, response) => void response.end('secure')),
    )}`;
    const proxy = createHttpServer((request, response) => {
      asked.push(`${request.headers['proxy-authorization'] ?? 'nobody'} ${request.url ?? ''}`);
      response.end('proxied');
    });
    proxy.on('connect', (request, socket) => {
      asked.push(`${request.headers['proxy-authorization'] ?? 'nobody'} CONNECT`);
      const [host = '', port = ''] = (request.url ?? '').split(':');
      const through = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        through.on('data', (bytes) => void socket.write(bytes)).on('end', () => void socket.end());
        socket
          .on('data', (bytes: Buffer) => void through.write(bytes))
          .on('end', () => void through.end());
      });
      through.on('error', () => socket.destroy());
      socket.on('error', () => through.destroy());
    });
    proxyUrl = `http://127.0.0.1:${await listen(proxy)}`;
  });

  const none = { http: undefined, https: undefined, exceptions: undefined };

  test('is the one of the upstream, before that of the environment', async () => {
    const get = transport({
      url: upstreamUrl,
      proxyUrl,
      proxies: { ...none, http: 'http://127.0.0.1:1' },
    });
    expect(await get()).toBe('proxied');
    expect(asked).toEqual([`nobody ${upstreamUrl}/`]);
  });

  test('is tunnelled through for https, with its own account and the checks of the certificate', async () => {
    const withAccount = proxyUrl.replace('//', '//user:pass@');
    await expect(transport({ url: secureUrl, proxyUrl: withAccount })()).rejects.toThrow();
    const caFile = await file('ca.pem', TLS_PAIRS.loopback.certificate);
    const get = transport({ url: secureUrl, caFile, proxyUrl: withAccount });
    expect(await get()).toBe('secure');
    expect(asked.at(-1)).toBe(`Basic ${btoa('user:pass')} CONNECT`);
  });

  test('is asked for no address of a private network that an upstream spells out', async () => {
    const get = transport({ url: 'http://registry.example', proxyUrl });
    for (const url of ['http://169.254.169.254/', 'http://[::1]:2375/', 'https://10.0.0.1/']) {
      await expect(get(url)).rejects.toThrow('not its own');
    }
    expect(asked).toEqual([]);
  });

  test('of the environment is used but for the hosts that it excepts', async () => {
    const proxies = { ...none, http: proxyUrl };
    expect(await transport({ url: upstreamUrl, proxies })()).toBe('proxied');
    const excepted = { ...proxies, exceptions: 'example.org,127.0.0.1' };
    expect(await transport({ url: upstreamUrl, proxies: excepted })()).toBe('direct');
    expect(asked).toHaveLength(1);
  });
});

test('no more connections are made at once than the upstream may have', async () => {
  const open: ServerResponse[] = [];
  let most = 0;
  const url = `http://127.0.0.1:${await listen(
    createHttpServer((_, response) => {
      open.push(response);
      most = Math.max(most, open.length);
      // Both are waited for, and one more for a moment.
      if (open.length !== 2) return;
      setTimeout(() => {
        for (const waiting of open.splice(0)) waiting.end('content');
      }, 20);
    }),
  )}`;
  const get = transport({ url, maxConnections: 2 });
  await Promise.all(Array.from({ length: 6 }, () => get()));
  expect(most).toBe(2);
});
