import { readFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';

import * as scripts from '../../shared/index/redis/redis-scripts.ts';
import { digestOfText, newRepository, tagOf } from '../../shared/index/testing/index-names.ts';
import { makeCertificateAuthority } from '../support/certificate-authority.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { freePort } from '../support/free-port.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { type RedisServer, startRedis } from '../support/start-redis.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

/** What docs/deploy.md gives the account, and nothing else. */
const RULES = /ACL SETUSER twinport on (?:>\S+) (.+)$/m.exec(
  readFileSync(path.resolve(import.meta.dirname, '..', '..', 'docs', 'deploy.md'), 'utf8'),
)?.[1];
const sources = Object.values(scripts).map(({ source }) => source);

test('scripts name their keys by KEYS alone, and use no command that searches or empties Redis (T-RI1, T-RD1)', () => {
  expect(sources.length).toBeGreaterThan(15);
  for (const source of sources) {
    const calls = [...source.matchAll(/redis\.call\('(\w+)'(?:, ([^,)]+))?/g)];
    for (const [, command = '', key = 'KEYS[1]'] of calls) {
      // In a function of the script, the key that it was given.
      expect(`${command} ${key}`).toMatch(/^[A-Z]+ (?:KEYS\[(?:\d|i)\]|key)$/);
      expect(command).not.toMatch(/^(?:KEYS|SCAN|CONFIG|FLUSH\w*|SCRIPT|EVAL\w*|DEBUG|SORT)$/);
    }
    expect(source).not.toMatch(/loadstring|redis\.pcall|setfenv/);
  }
});

test('the account of the documents may run what scripts call, and nothing beside it (T-RD1)', () => {
  const called = sources.flatMap((source) =>
    [...source.matchAll(/redis\.call\('(\w+)'/g)].map(([, name = '']) => `+${name.toLowerCase()}`),
  );
  const given = (RULES ?? '').split(' ').filter((rule) => rule.startsWith('+'));
  expect(given.sort()).toEqual([...new Set([...called, '+info', '+eval', '+evalsha'])].sort());
});

describeWithTools(['redis-server', 'openssl'], 'a Redis with TLS and an account of its own', () => {
  const servers = new OwnedServers();
  const password = 'of-the-account';
  let redis: RedisServer;
  let admin: Redis;
  let tlsPort: number;
  let caFile: string;
  const folder = makeTempFolder('redis-access');
  const start = (env: Record<string, string>): Promise<TwinportProcess> =>
    servers.own(startTwinport({ role: 'push', storage: { dataDir: folder }, env }));
  const url = (secret = password): string => `rediss://twinport:${secret}@localhost:${tlsPort}`;

  beforeAll(async () => {
    const authority = await makeCertificateAuthority();
    caFile = authority.certificateFile;
    const { certificateFile, keyFile } = await authority.issue(['localhost']);
    tlsPort = await freePort();
    redis = await servers.own(
      startRedis({
        own: true,
        args: [
          ...['--tls-port', String(tlsPort), '--tls-auth-clients', 'no'],
          ...['--tls-cert-file', certificateFile, '--tls-key-file', keyFile],
          ...['--tls-ca-cert-file', caFile],
        ],
      }),
    );
    admin = new Redis(redis.url);
    const rules = `on >${password} ${RULES ?? ''}`.split(' ');
    await admin.call('ACL', 'SETUSER', 'twinport', ...rules);
  });
  afterAll(async () => {
    admin.disconnect();
    await servers.stopAll();
  });

  test('serves a registry, which asks for nothing that the account may not do', async () => {
    const push = await start({ REDIS_URL: url(), NODE_EXTRA_CA_CERTS: caFile, LOG_LEVEL: 'info' });
    const ready = await (await fetch(`${push.metricsUrl}/readyz`)).json();
    expect(ready).toMatchObject({ status: 'ready', degraded: [] });
    const name = `team/${newRepository().replaceAll('/', '-')}`;
    const put = await fetch(`${push.url}/v2/${name}/blobs/uploads/?digest=${digestOfText('x')}`, {
      method: 'POST',
      body: 'x',
    });
    expect(put.status).toBe(201);
    const tag = String(tagOf('v1'));
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType, manifests: [] });
    const target = `${push.url}/v2/${name}/manifests/${tag}`;
    const headers = { 'content-type': mediaType };
    expect((await fetch(target, { method: 'PUT', headers, body: manifest })).status).toBe(201);
    expect((await fetch(target)).status).toBe(200);
    expect((await fetch(target, { method: 'DELETE' })).status).toBe(202);
    expect((await fetch(target)).status).toBe(404);
    expect(await admin.dbsize()).toBeGreaterThan(0);
    // What Redis has denied to somebody since it started.
    expect(await admin.call('ACL', 'LOG')).toEqual([]);
    // Every script, as far as the rights go: what its arguments mean makes no difference to them.
    const client = new Redis(url(), { tls: { ca: readFileSync(caFile) }, maxRetriesPerRequest: 0 });
    try {
      const keys = ['twinport:1:{x}:a', 'twinport:1:{x}:b'];
      for (const { source } of Object.values(scripts)) {
        await client.eval(source, 2, ...keys, '1', '2', '3', '4', '5').catch((error: unknown) => {
          expect(String(error)).not.toMatch(/NOPERM|ACL|permission/i);
        });
      }
      for (const [command, ...args] of [
        ['keys', '*'],
        ['flushall'],
        ['config', 'get', '*'],
        ['script', 'flush'],
        ['get', 'of-somebody-else'],
        ['eval', "return redis.call('GET', KEYS[1])", '1', 'of-somebody-else'],
      ] as const) {
        await expect(client.call(command, ...args)).rejects.toThrow(/NOPERM|permission/);
      }
    } finally {
      client.disconnect();
    }
    await push.stop();
  });

  test('is not spoken to when its certificate is not trusted, or the password is wrong, and the registry serves', async () => {
    for (const env of [
      { REDIS_URL: url() },
      { REDIS_URL: url('wrong-password'), NODE_EXTRA_CA_CERTS: caFile },
    ]) {
      const push = await start(env);
      const ready = await (await fetch(`${push.metricsUrl}/readyz`)).json();
      expect(ready).toMatchObject({ status: 'ready', degraded: ['redis'] });
      expect((await fetch(`${push.url}/v2/`)).status).toBe(200);
      expect(push.logs()).toContain('Redis is not reachable');
      expect(push.logs()).not.toMatch(/of-the-account|wrong-password/);
      await push.stop();
    }
  });
});
