import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, request as sendRequest, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { TLSSocket } from 'node:tls';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { TLS_PAIRS } from '../../shared/http/testing/tls-pairs.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullImage } from '../support/registry-client.ts';
import {
  startTwinport,
  type TwinportOptions,
  type TwinportProcess,
} from '../support/registry-process.ts';
import { startRedis } from '../support/start-redis.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const HELPER_LIFE_SECONDS = 2;

/** Real processes with real settings: what each of them does is tested in detail beside the code. */
describeWithTools(['redis-server'], 'settings of upstreams', () => {
  const servers = new OwnedServers();
  const folder = makeTempFolder('settings');
  const image = makeImage();
  /** The helper's password, and a line for each time that it was asked. */
  const [passwordFile, askedFile] = ['password', 'asked'].map((name) => path.join(folder, name));
  /** Whom the guarded registry saw, and what its proxy was asked for. */
  const seen: string[] = [];
  let options: Omit<TwinportOptions, 'role'>;
  let upstreams: readonly Record<string, unknown>[];
  let hub: FakeUpstream;
  let helped: FakeUpstream;
  let mirrors: readonly [TwinportProcess, TwinportProcess];

  beforeAll(async () => {
    const redis = await servers.own(startRedis());
    const fakes = await Promise.all([1, 2, 3, 4].map(() => servers.own(startFakeUpstream())));
    const [first, second, guarded, slow] = fakes as [
      FakeUpstream,
      FakeUpstream,
      FakeUpstream,
      FakeUpstream,
    ];
    [hub, helped] = [first, second];
    const guard = await servers.own(listen(guardOf(guarded.url, seen)));
    const proxy = await servers.own(listen(tunnel(seen)));
    for (const tag of ['1', '2', '3', '4']) {
      hub.addImage('library/hello', tag, makeImage());
      slow.addImage('team/app', tag, makeImage());
    }
    guarded.addImage('team/app', '1', image);
    hub.behaviour.wantsToken = helped.behaviour.wantsToken = true;
    for (const name of ['ann', 'bob']) hub.behaviour.otherAccounts.set(name, `of ${name}`);
    hub.behaviour.pullsLeft.set('anybody', 100).set('ann', 90).set('bob', 40);
    helped.behaviour.privateRepositories.add('team/app');
    upstreams = [
      {
        project: 'mirror',
        insecure: true,
        credentials: [
          { username: 'ann', password: 'of ann' },
          { username: 'bob', passwordFile: write('bob', 'of bob\n') },
        ],
      },
      {
        project: 'helped',
        url: helped.url,
        insecure: true,
        private: 'shared',
        credentials: [
          {
            username: 'carol',
            helper: [process.execPath, write('helper.cjs', helperOf(passwordFile!, askedFile!))],
            lifetimeSeconds: HELPER_LIFE_SECONDS,
          },
        ],
      },
      {
        project: 'guarded',
        url: `https://127.0.0.1:${guard.port}`,
        caFile: write('ca.pem', TLS_PAIRS.loopback.certificate),
        clientCertificateFile: write('client.pem', TLS_PAIRS.two.certificate),
        clientKeyFile: write('client.key', TLS_PAIRS.two.key),
        proxyUrl: `http://127.0.0.1:${proxy.port}`,
      },
      { project: 'slow', url: slow.url, requestsPerSecond: 0.05 },
    ];
    options = {
      storage: { dataDir: path.join(folder, 'data') },
      redisUrl: redis.url,
      upstreamUrl: hub.url,
      env: { UPSTREAMS: JSON.stringify(upstreams) },
    };
    const start = (): Promise<TwinportProcess> =>
      servers.own(startTwinport({ ...options, role: 'mirror' }));
    mirrors = [await start(), await start()];
  });
  afterAll(() => servers.stopAll());

  function write(name: string, content: string): string {
    const file = path.join(folder, name);
    writeFileSync(file, content);
    return file;
  }

  /** Who asked Docker Hub for manifests since it was told to forget. */
  const askers = (): string[] =>
    hub.seen
      .filter(({ method, path }) => method === 'GET' && path.includes('/manifests/'))
      .map(({ authorization }) => /^Bearer ([^/]+)/.exec(authorization ?? '')?.[1] ?? 'nobody')
      .filter((who) => who !== 'nobody');
  const statusOf = async (url: string): Promise<[number, string | null]> => {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return [answer.status, answer.headers.get('retry-after')];
  };

  test('several accounts: the one that one mirror found limited is left alone by the other, too', async () => {
    const [one, other] = mirrors;
    // Each is asked once before it is known what it has left.
    expect((await statusOf(`${one.url}/v2/hello/manifests/1`))[0]).toBe(200);
    hub.forget();
    expect((await statusOf(`${one.url}/v2/hello/manifests/2`))[0]).toBe(200);
    expect(askers()).toEqual(['bob']);
    hub.behaviour.pullsLeft.set('ann', 0);
    hub.forget();
    expect((await statusOf(`${one.url}/v2/hello/manifests/3`))[0]).toBe(200);
    expect(askers()).toEqual(['ann', 'bob']);
    hub.forget();
    expect((await statusOf(`${other.url}/v2/hello/manifests/4`))[0]).toBe(200);
    expect(askers()).toEqual(['bob']);
    for (const { metricsUrl } of mirrors) {
      const metrics = await (await fetch(`${metricsUrl}/metrics`)).text();
      const left =
        'registry_mirror_upstream_quota_remaining{upstream="mirror",credential="account-2"}';
      expect(metrics).toMatch(new RegExp(`^${left.replace('{', '\\{')} 3[78]$`, 'm'));
    }
  });

  test('a helper program is asked for the password, again when its life is over, and at once when it is refused', async () => {
    let tags = 0;
    const rotate = (password: string): void => {
      writeFileSync(passwordFile!, password);
      helped.behaviour.account = { username: 'carol', password };
    };
    const pullNext = async (): Promise<number> => {
      tags += 1;
      helped.addImage('team/app', String(tags), makeImage());
      return (await statusOf(`${mirrors[0].url}/v2/helped/team/app/manifests/${tags}`))[0];
    };
    const asked = (): number => readFileSync(askedFile!, 'utf8').split('\n').length - 1;
    // Every token is fetched with the password anew.
    helped.behaviour.tokenLifeSeconds = 1;
    writeFileSync(askedFile!, '');
    rotate('one');
    expect(await pullNext()).toBe(200);
    expect(readFileSync(askedFile!, 'utf8')).toBe(`127.0.0.1:${new URL(helped.url).port}\n`);
    await waitFor(async () => (await pullNext()) === 200 && asked() > 1, {
      what: 'the helper to be asked again',
      everyMs: 200,
    });
    rotate('two');
    expect(await pullNext()).toBe(200);
  });

  test('a client certificate, an authority of its own and a proxy on the way', async () => {
    expect((await pullImage(mirrors[0].url, 'guarded/team/app', '1')).bytes).toEqual(
      image.manifest.bytes,
    );
    const port = new URL(String(upstreams[2]!['url'])).port;
    expect(new Set(seen)).toEqual(new Set([`CONNECT 127.0.0.1:${port}`, 'CN=two']));
  });

  test('a limit of requests a second: who would wait for long is told when to come again', async () => {
    const path = `${mirrors[0].url}/v2/slow/team/app/manifests`;
    expect((await statusOf(`${path}/1`))[0]).toBe(200);
    const [status, retryAfter] = await statusOf(`${path}/2`);
    expect([status, Number(retryAfter) > 5]).toEqual([503, true]);
    // What is held needs no turn.
    expect((await statusOf(`${path}/1`))[0]).toBe(200);
  });

  test('the push service heeds the table of the running mirrors, and no mirror may contradict it', async () => {
    const push = await servers.own(
      startTwinport({ storage: options.storage, role: 'push', redisUrl: options.redisUrl! }),
    );
    const answer = await fetch(`${push.url}/v2/guarded/app/blobs/uploads/`, { method: 'POST' });
    expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining('guarded')]);
    const others = upstreams.map((entry) =>
      entry['project'] === 'slow' ? { ...entry, url: 'http://127.0.0.1:1' } : entry,
    );
    const contradicting = startTwinport({
      ...options,
      role: 'mirror',
      env: { UPSTREAMS: JSON.stringify(others) },
    });
    await expect(contradicting).rejects.toThrow(/slow/);
  });
});

/** Tells the password as docker's helpers do, and notes for which registry it was asked. */
const helperOf = (passwordFile: string, askedFile: string): string => `
const { appendFileSync, readFileSync } = require('node:fs');
appendFileSync(${JSON.stringify(askedFile)}, readFileSync(0, 'utf8'));
console.log(JSON.stringify({ Secret: readFileSync(${JSON.stringify(passwordFile)}, 'utf8') }));
`;

interface Listening {
  readonly port: number;
  stop(): Promise<void>;
}

async function listen(server: Server): Promise<Listening> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A registry behind TLS that wants to know who asks. */
function guardOf(url: string, seen: string[]): Server {
  const { certificate, key } = TLS_PAIRS.loopback;
  const tls = { cert: certificate, key, ca: TLS_PAIRS.two.certificate, requestCert: true };
  return createHttpsServer(tls, (request, response) => {
    const { socket } = request;
    const client = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    seen.push(client?.subject ?? 'nobody');
    const { method, headers } = request;
    const inner = sendRequest(new URL(request.url ?? '/', url), { method: method!, headers });
    inner.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      pipeline(answer, response).catch(() => response.destroy());
    });
    inner.end();
  });
}

/** A proxy that leads wherever it is told. */
function tunnel(seen: string[]): Server {
  const server = createHttpServer((_, response) => void response.writeHead(405).end());
  server.on('connect', (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const through = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      for (const [from, to] of [
        [socket, through],
        [through, socket],
      ] as const) {
        pipeline(from, to).catch(() => undefined);
      }
    });
    through.on('error', () => socket.destroy());
    socket.on('error', () => through.destroy());
  });
  return server;
}
