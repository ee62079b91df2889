import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { UPSTREAM_DEFAULTS } from '../../../shared/config/built-in-upstreams.ts';
import { RecordedEdge } from '../../../shared/http/testing/recorded-edge.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import { type AddressClass, AddressGuard, classifyAddress } from './address-guard.ts';
import { parseChallenges } from './challenge.ts';
import type { LookupAll } from './guarded-connector.ts';
import { type ExchangeResponse, HttpExchange, readBody } from './http-exchange.ts';
import { UpstreamFault } from './outcome.ts';
import { fetchToken } from './token-service.ts';
import { TokenCache } from './token-cache.ts';
import { UpstreamClient } from './upstream-client.ts';
import { UpstreamTransport } from './upstream-transport.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly seen: IncomingMessage[];
  handle: Handler;
}

const signal = new AbortController().signal;
const closers: (() => Promise<void>)[] = [];

async function listen(host = '127.0.0.1'): Promise<TestServer> {
  const http = createServer((request, response) => {
    server.seen.push(request);
    server.handle(request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, host, resolve));
  const { port } = http.address() as AddressInfo;
  const server: TestServer = {
    url: `http://${host}:${port}`,
    port,
    seen: [],
    handle: (_, response) => void response.end('content'),
  };
  closers.push(async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  return server;
}

/** As if 127.0.0.1 were anybody's address and 127.0.0.2 one of a private network. */
function asIfPublic(address: string): AddressClass {
  if (address === '127.0.0.1') return 'public';
  return address === '127.0.0.2' ? 'private' : classifyAddress(address);
}

interface Parts {
  readonly guard?: AddressGuard;
  readonly lookup?: LookupAll;
}

function exchangeWith(url: string, parts: Parts = {}): HttpExchange {
  const exchange = new HttpExchange(
    new RecordedEdge().observer,
    new UpstreamTransport({
      upstream: { ...UPSTREAM_DEFAULTS, url },
      clock: systemClock,
      guard: new AddressGuard(asIfPublic),
      ...parts,
    }),
  );
  closers.push(() => exchange.close());
  return exchange;
}

const get = (exchange: HttpExchange, url: string): Promise<ExchangeResponse> =>
  exchange.send(
    {
      method: 'GET',
      url: new URL(url),
      headers: { authorization: 'Bearer secret', cookie: 'a=b' },
      followsRedirects: true,
      isBlob,
    },
    signal,
  );
const text = async (response: ExchangeResponse): Promise<string> =>
  String(await readBody(response.body, 1000, response.url));
const redirectTo =
  (location: string): Handler =>
  (_, response) =>
    void response.writeHead(307, { location }).end();

let upstream: TestServer;
/** Whether blobs are asked for, over connections of their own. */
let isBlob = false;
beforeEach(async () => {
  upstream = await listen();
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

describe.each([false, true])('redirects (of blobs: %s)', (ofBlobs) => {
  beforeEach(() => {
    isBlob = ofBlobs;
  });
  test('to another host carry neither the token nor what the other end could tell a user by', async () => {
    const other = await listen();
    upstream.handle = redirectTo(`${other.url}/x`);
    expect(await text(await get(exchangeWith(upstream.url), upstream.url))).toBe('content');
    expect(upstream.seen[0]?.headers.authorization).toBe('Bearer secret');
    expect(other.seen[0]?.headers).not.toHaveProperty('authorization');
    expect(other.seen[0]?.headers).not.toHaveProperty('cookie');
    expect(other.seen[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('to a private address are not followed where the upstream is at a public one', async () => {
    const internal = await listen('127.0.0.2');
    upstream.handle = redirectTo(`${internal.url}/x`);
    await expect(get(exchangeWith(upstream.url), upstream.url)).rejects.toMatchObject({
      reason: 'redirect',
      message: expect.stringContaining('127.0.0.2') as unknown,
    });
    expect(internal.seen).toEqual([]);
  });

  test('to a private address are followed where the upstream is at one itself', async () => {
    const internal = await listen('127.0.0.2');
    upstream.handle = redirectTo(`${internal.url}/x`);
    const guard = new AddressGuard();
    const response = await get(exchangeWith(upstream.url, { guard }), upstream.url);
    expect(await text(response)).toBe('content');
  });

  test.each([
    'http://169.254.169.254/latest/meta-data',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[fd00:ec2::254]/',
    'http://2852039166/',
    'http://0251.0376.0251.0376/',
    'http://0.0.0.0/',
    'http://[::]/',
  ])('to %s are not followed wherever the upstream is', async (location) => {
    upstream.handle = redirectTo(location);
    const guard = new AddressGuard();
    await expect(get(exchangeWith(upstream.url, { guard }), upstream.url)).rejects.toBeInstanceOf(
      UpstreamFault,
    );
  });

  test('to itself end after five', async () => {
    upstream.handle = redirectTo('/again');
    await expect(get(exchangeWith(upstream.url), upstream.url)).rejects.toThrow(
      'more than 5 redirects',
    );
    expect(upstream.seen).toHaveLength(6);
  });
});

describe.each([false, true])('a name that changes its address (of blobs: %s)', (ofBlobs) => {
  beforeEach(() => {
    isBlob = ofBlobs;
  });
  test('is checked by the look-up that connects: no second one is made', async () => {
    const internal = await listen('127.0.0.2');
    upstream.handle = redirectTo(`http://cdn.example:${internal.port}/x`);
    const answers = ['127.0.0.2', '127.0.0.1'];
    const asked: string[] = [];
    const lookup: LookupAll = (hostname, _, callback) => {
      asked.push(hostname);
      callback(null, [{ address: answers.shift() ?? '', family: 4 }]);
    };
    await expect(get(exchangeWith(upstream.url, { lookup }), upstream.url)).rejects.toMatchObject({
      reason: 'redirect',
    });
    expect(asked).toEqual(['cdn.example']);
    expect(internal.seen).toEqual([]);
  });

  test('is reached at those of its addresses that are allowed', async () => {
    const other = await listen();
    upstream.handle = redirectTo(`http://cdn.example:${other.port}/x`);
    const lookup: LookupAll = (_, __, callback) => {
      callback(null, [
        { address: '169.254.169.254', family: 4 },
        { address: '127.0.0.2', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ]);
    };
    const response = await get(exchangeWith(upstream.url, { lookup }), upstream.url);
    expect(await text(response)).toBe('content');
    expect(other.seen).toHaveLength(1);
  });

  test('may not be the upstream itself on another port, within this machine', async () => {
    const internal = await listen('127.0.0.2');
    const url = `http://registry.example:${internal.port + 1}`;
    const lookup: LookupAll = (_, __, callback) => {
      callback(null, [{ address: '127.0.0.2', family: 4 }]);
    };
    const exchange = exchangeWith(url, { lookup });
    await expect(get(exchange, `http://registry.example:${internal.port}`)).rejects.toMatchObject({
      reason: 'redirect',
    });
    expect(internal.seen).toEqual([]);
  });
});

describe('a token service', () => {
  test('at a private address is not asked by who came from a public one, not even as nobody', async () => {
    const internal = await listen('127.0.0.2');
    const [challenge] = parseChallenges(`Bearer realm="https://127.0.0.2:${internal.port}/token"`);
    const asked = fetchToken(
      exchangeWith(upstream.url),
      {
        upstream: new URL('https://registry.example'),
        authHosts: [],
        challenge: challenge!,
        scope: 'repository:a:pull',
        account: undefined,
      },
      () => new Date(),
      signal,
    );
    await expect(asked).rejects.toMatchObject({ reason: 'redirect' });
  });

  test.each([
    'https://elsewhere.example/token',
    'http://registry.example/token',
    'https://user@registry.example/token',
    'https://xn--rgistry-b1a.example/token',
    'https://registry.example:8443/token',
    'file:///token',
  ])('%s gets no account of another host, and the refusal names it', async (realm) => {
    const [challenge] = parseChallenges(`Bearer realm="${realm}"`);
    const outcome = await fetchToken(
      exchangeWith(upstream.url),
      {
        upstream: new URL('https://registry.example'),
        authHosts: [],
        challenge: challenge!,
        scope: 'repository:a:pull',
        account: { username: 'u', password: 'hunter2' },
      },
      () => new Date(),
      signal,
    );
    expect(outcome).toMatchObject({ kind: 'unavailable', reason: 'realm' });
    expect(JSON.stringify(outcome)).toContain(new URL(realm).origin);
    expect(JSON.stringify(outcome)).not.toContain('hunter2');
  });
});

describe('answers', () => {
  beforeEach(() => {
    isBlob = false;
  });
  test('with headers without end are refused', async () => {
    upstream.handle = (_, response) => {
      for (let n = 0; n < 40; n += 1) response.setHeader(`x-${n}`, 'y'.repeat(1024));
      response.end();
    };
    await expect(get(exchangeWith(upstream.url), upstream.url)).rejects.toBeInstanceOf(
      UpstreamFault,
    );
  });

  test('whose body is longer than what was asked for may be are not read on', async () => {
    upstream.handle = (_, response) => void response.end('x'.repeat(100_000));
    const response = await get(exchangeWith(upstream.url), upstream.url);
    expect(await readBody(response.body, 1000, response.url)).toBeUndefined();
  });
});

test('certificates go unchecked, and HTTP is read leniently, nowhere but where an upstream is said to be insecure', async () => {
  const root = path.resolve(import.meta.dirname, '..', '..', '..');
  const found: string[] = [];
  for (const folder of ['services', 'shared']) {
    for (const name of await readdir(path.join(root, folder), { recursive: true })) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const source = await readFile(path.join(root, folder, name), 'utf8');
      if (/rejectUnauthorized|insecureHTTPParser|NODE_TLS_REJECT/.test(source)) found.push(name);
    }
  }
  expect(found).toEqual(['mirror/upstream/upstream-transport.ts']);
});

test('a list of tags that does not end is given up before it fills the memory', async () => {
  const server = await listen();
  const page = JSON.stringify({ tags: ['1'], more: 'x'.repeat(3 * 1024 * 1024) });
  server.handle = (_, response) => {
    response.setHeader('link', '</v2/library/app/tags/list?last=x>; rel="next"').end(page);
  };
  const observer = new RecordedEdge().observer;
  const config = { ...UPSTREAM_DEFAULTS, url: server.url };
  const transport = new UpstreamTransport({ upstream: config, clock: systemClock });
  closers.push(() => transport.close());
  const client = new UpstreamClient({
    exchange: new HttpExchange(observer, transport),
    upstream: new URL(`${server.url}/`),
    authHosts: [],
    identity: { kind: 'anonymous' },
    tokens: new TokenCache(systemClock),
    clock: systemClock,
    lifetime: signal,
    onOutcome: () => undefined,
  });
  const outcome = await client.tagList('library/app' as RepositoryName, signal);
  expect(outcome).toMatchObject({ kind: 'unavailable', reason: 'garbage' });
  expect(server.seen.length * page.length).toBeLessThan(24 * 1024 * 1024);
});
