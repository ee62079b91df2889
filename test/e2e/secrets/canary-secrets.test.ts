import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { hashSecret, makeSecret } from '../../../shared/auth/random-secret.ts';
import { send, type TestRequest } from '../../../shared/http/testing/http-client.ts';
import { personHash } from '../../../shared/management/people.ts';
import { digestOf } from '../../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../../shared/oci/media-types.ts';
import { cliPasswordKey } from '../../../shared/storage/object-keys.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { storageEnvironment } from '../../support/registry-process.ts';
import { type CommandResult, runCommand } from '../../support/run-command.ts';
import { createTestS3Client } from '../../support/start-s3.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import { twinport } from '../../support/twinport-command.ts';
import { Canaries } from './canaries.ts';
import { type GuardedRegistries, startGuarded } from './guarded-registries.ts';
import { inRedis, inStore } from './kept-secrets.ts';

const MAIN = path.resolve(import.meta.dirname, '..', '..', '..', 'services', 'main.ts');
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex,
  manifests: [],
});
const BLOB = Buffer.from('a blob');

describeWithTools(['minio', 'redis-server', 'slapd', 'openssl'], 'secrets', () => {
  const servers = new OwnedServers();
  const canaries = new Canaries();
  /** Secrets in what clients were told; what a token service gives them is theirs. */
  const told: string[] = [];
  let guarded: GuardedRegistries;
  let s3: S3Client;
  let root: string;
  let robot: string;
  let cliPassword: string;

  type Role = 'push' | 'mirror';
  async function ask(role: Role, target: string, request: TestRequest = {}) {
    const answer = await send(guarded[role].port, target, request);
    const isGift = target.startsWith('/auth/token') && answer.status === 200;
    const text = isGift ? '' : `${JSON.stringify(answer.headers)}\n${answer.body.toString()}`;
    told.push(...canaries.in(`the answer to ${target}`, text));
    return answer;
  }
  const as = (authorization: string, more: TestRequest = {}): TestRequest => ({
    ...more,
    headers: { ...more.headers, authorization },
  });
  const form = (fields: Record<string, string>): TestRequest => ({
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  });
  async function token(role: Role, scope: string, authorization: string): Promise<string> {
    const service = role === 'push' ? 'twinport' : 'twinport-mirror';
    const { body, status } = await ask(
      role,
      `/auth/token?service=${service}&scope=${scope}&offline_token=true`,
      as(authorization),
    );
    expect(status).toBe(200);
    const given = JSON.parse(body.toString()) as { token: string; refresh_token?: string };
    const { refresh_token: refresh } = given;
    if (refresh !== undefined) {
      canaries.note('a token in place of a password', refresh.slice(-43));
      const again = form({ grant_type: 'refresh_token', refresh_token: refresh, service, scope });
      expect((await ask(role, '/auth/token', again)).status).toBe(200);
    }
    return canaries.bearer('a token', given.token);
  }

  beforeAll(async () => {
    guarded = await startGuarded(servers, canaries);
    s3 = createTestS3Client(guarded.s3);
    const env = {
      ...guarded.env,
      REDIS_URL: `redis://:${guarded.redisPassword}@127.0.0.1:${guarded.redis.port}`,
    };
    const command = async (words: string): Promise<string> => {
      const { code, stdout, stderr } = await twinport(words, guarded.s3, env);
      expect([code, stderr]).toEqual([0, expect.anything()]);
      return stdout;
    };
    const password = /Password: (\S+)/.exec(await command('user add root --admin'))?.[1] ?? '';
    root = canaries.basic('root', canaries.note('root', password));
    await command('project create team');
    const made = await command('robot add team ci --rights pull,push');
    const secret = /twp_\S+/.exec(made)?.[0] ?? '';
    robot = canaries.basic('robot$team+ci', canaries.note('the robot', secret));
    cliPassword = await makeCliPassword();
  });
  afterAll(async () => {
    s3.destroy();
    await servers.stopAll();
  });

  /** As the management API makes it. */
  async function makeCliPassword(): Promise<string> {
    const [person, id] = [personHash('local:root'), '0123456789abcdef'];
    const secret = makeSecret().replace('_', `_${person}${id}_`);
    canaries.note('the password for the command line', secret.slice(-43));
    const record = {
      ...{ schemaVersion: 1, id, ownerId: 'local:root', label: 'laptop' },
      ...{ secretHash: hashSecret(secret), createdAt: new Date().toISOString() },
      expiresAt: new Date(Date.now() + 3600_000).toISOString(),
    };
    const { bucket: Bucket } = guarded.s3;
    const Body = JSON.stringify(record);
    await s3.send(new PutObjectCommand({ Bucket, Key: cliPasswordKey(person, id), Body }));
    return secret;
  }

  async function everything(): Promise<void> {
    const { harry, lara } = guarded.passwords;
    const people = {
      root,
      robot,
      harry: canaries.basic('harry', harry),
      lara: canaries.basic('lara', lara),
      laptop: canaries.basic('root', cliPassword),
    };
    for (const credentials of Object.values(people)) {
      expect((await ask('push', '/v2/', as(credentials))).status).toBe(200);
      const scope = 'repository:team/app:pull,push,delete';
      const bearer = await token('push', scope, credentials);
      await ask('push', '/v2/team/app/manifests/v1', as(bearer, putManifest));
      await ask('push', '/v2/team/app/manifests/v1', as(bearer));
      await ask('push', '/v2/other/app/manifests/v1', as(bearer));
      const upload = `/v2/team/app/blobs/uploads/?digest=${digestOf(BLOB)}`;
      await ask('push', upload, as(bearer, { method: 'POST', body: BLOB }));
      await ask('push', '/v2/_catalog', as(credentials));
      await ask('push', '/v2/team/app/manifests/v1', as(bearer, { method: 'DELETE' }));
      const ofMirror = await token('mirror', 'repository:local/team/app:pull', credentials);
      await ask('mirror', '/v2/local/team/app/tags/list', as(ofMirror));
      await ask('mirror', '/v2/team/app/manifests/v1', as(ofMirror, putManifest));
    }
    const login = { grant_type: 'password', username: 'harry', password: harry };
    await ask('push', '/auth/token', form({ ...login, access_type: 'offline' }));
  }
  const putManifest: TestRequest = {
    method: 'PUT',
    headers: { 'content-type': MEDIA_TYPES.ociIndex },
    body: MANIFEST,
  };

  /** What people and programs get wrong, and what attackers try. */
  async function mistakes(): Promise<void> {
    const wrong = (what: string): string => canaries.make(what);
    for (const role of ['push', 'mirror'] as const) {
      const attempts = [
        canaries.basic('root', wrong('a mistyped password')),
        canaries.basic('lara', wrong('a mistyped password of the directory')),
        canaries.basic('somebody', wrong('a login of another registry')),
        // Typed into the wrong field.
        canaries.basic(wrong('a password as user name'), 'x'),
        canaries.basic('robot$team+ci', `twp_${wrong('a secret of a robot')}`),
        canaries.basic('root', `twp_${wrong('an own secret')}`),
        `Basic ${wrong('broken credentials')}`,
        `Negotiate ${wrong('another scheme')}`,
        canaries.bearer('a broken token', wrong('a broken token')),
        canaries.bearer('a forged token', `e30.e30.${wrong('a forged token')}`),
      ];
      // To compare a password takes a quarter of a second; here every third is enough for the other role.
      for (const [position, attempt] of attempts.entries()) {
        if (role === 'mirror' && position % 3 !== 2) continue;
        await ask(role, '/v2/team/app/manifests/v1', as(attempt));
        await ask(role, '/auth/token', as(attempt));
      }
      const [password, refresh] = [wrong('a password in a form'), wrong('a false refresh token')];
      await ask(role, '/auth/token', form({ grant_type: 'password', username: 'root', password }));
      await ask(role, '/auth/token', form({ grant_type: 'refresh_token', refresh_token: refresh }));
      await ask(role, '/auth/token', form({ grant_type: wrong('a secret as grant type') }));
      await ask(role, `/auth/token?password=${wrong('a password in a query')}`);
      await ask(role, `/v2/team/app/tags/list?token=${wrong('a token in a query')}`);
      await ask(role, '/v2/team/app/tags/list', {
        headers: { cookie: `session=${wrong('a cookie')}`, 'x-api-key': wrong('a key') },
      });
    }
  }

  /** Pulls with the account of the mirror, while it is taken, refused and not heard. */
  async function pulls(): Promise<void> {
    const { behaviour } = guarded.upstream;
    const pull = async (name: string): Promise<void> => {
      await ask('mirror', `/v2/${name}/manifests/1`);
      await ask('mirror', `/v2/${name}/tags/list`);
      await ask('mirror', `/api/v1/explain?ref=${name}:1`);
    };
    await pull('library/hello');
    await pull('org/hidden');
    const { account } = behaviour;
    behaviour.account = undefined;
    await pull('library/hello');
    await pull('library/other');
    behaviour.account = account;
    behaviour.status = { code: 500, body: 'broken' };
    await pull('library/broken');
    behaviour.status = undefined;
    await guarded.upstream.goDown();
    await pull('library/gone');
    await guarded.upstream.comeBack();
  }

  /** What every server behind it being gone makes the processes say. */
  async function outages(): Promise<void> {
    const { lara } = guarded.passwords;
    await guarded.slapd.stop();
    await ask('push', '/v2/', as(canaries.basic('lara', `${lara}y`)));
    await guarded.redis.stop();
    await ask('push', '/v2/team/app/tags/list', as(root));
    await guarded.s3.stop();
    for (const role of ['push', 'mirror'] as const) {
      await ask(role, '/v2/local/team/app/tags/list', as(root));
      await ask(role, '/v2/', as(robot));
      const upload = `/v2/team/app/blobs/uploads/?digest=${digestOf(BLOB)}`;
      await ask(role, upload, as(root, { method: 'POST', body: BLOB }));
    }
  }

  async function observed(): Promise<string> {
    const pages = [guarded.push, guarded.mirror].flatMap(({ metricsUrl }) =>
      ['metrics', 'readyz', 'healthz', 'livez'].map(async (page) =>
        (await fetch(`${metricsUrl}/${page}`)).text(),
      ),
    );
    return (await Promise.all(pages)).join('\n');
  }

  test('are recognised in the forms in which they travel', () => {
    const one = new Canaries();
    const header = one.basic('alice', one.make('alice'));
    const password = Buffer.from(header.slice(6), 'base64').toString().slice('alice:'.length);
    for (const text of [header, password, `x${Buffer.from(password).toString('hex')}`]) {
      expect(one.in('a text', text)).not.toEqual([]);
    }
    expect(one.in('a text', 'alice')).toEqual([]);
  });

  test('come out nowhere: not in answers, lists, metrics, the store or Redis', async () => {
    await everything();
    await mistakes();
    await pulls();
    expect(told).toEqual([]);
    expect(canaries.in('metrics', await observed())).toEqual([]);
    expect(await inStore(canaries, s3, guarded.s3)).toEqual([]);
    expect(await inRedis(canaries, guarded)).toEqual([]);
  });

  test('come out nowhere when a process cannot start with them', async () => {
    const secret = canaries.make('a secret of a broken configuration');
    const folder = makeTempFolder('broken');
    const fileOf = (text: string): string => {
      const file = path.join(folder, String(text.length));
      writeFileSync(file, text);
      return file;
    };
    const broken: readonly Record<string, string>[] = [
      {
        REDIS_URL: `not a url ${secret}`,
        UPSTREAM_URL: `https://user:${secret}@registry.example`,
        UPSTREAMS: `[{"password":"${secret}"`,
        AUTH_LDAP_URL: `ldaps://user:${secret}@directory.example`,
      },
      { UPSTREAMS: `[{"url":"https://x.example","credentials":[{"password":"${secret}"}]}]` },
      { AUTH_TOKEN_KEY_FILE: fileOf(`-----BEGIN PRIVATE KEY-----\n${secret}\n`) },
      { AUTH_HTPASSWD_FILE: fileOf(`alice:${secret}\n`) },
      { S3_SECRET_ACCESS_KEY: secret },
    ];
    const outputs = await Promise.all(broken.map((env) => startWith(env)));
    for (const [position, { code, stdout, stderr }] of outputs.entries()) {
      expect([position, code, stdout + stderr]).not.toEqual([position, 0, expect.anything()]);
      expect(canaries.in(`start ${position}`, stdout + stderr)).toEqual([]);
    }
  });

  async function startWith(env: Record<string, string>): Promise<CommandResult> {
    return await runCommand(process.execPath, [MAIN], {
      env: {
        PATH: process.env['PATH'],
        ...{ HTTP_HOST: '127.0.0.1', HTTP_PORT: '0', METRICS_PORT: '0' },
        ...storageEnvironment(guarded.s3),
        ...guarded.env,
        AUDIT_LOG: '',
        ...env,
      },
      timeoutMs: 30_000,
    });
  }

  test('come out nowhere when what stands behind is gone: not in the log, nor in the record of who did what', async () => {
    await outages();
    expect(told).toEqual([]);
    expect(canaries.in('metrics', await observed())).toEqual([]);
    const { push, mirror, auditLog } = guarded;
    expect(push.logs()).toContain('"message":"request"');
    expect(canaries.in('the log', push.logs())).toEqual([]);
    expect(canaries.in('the log of the mirror', mirror.logs())).toEqual([]);
    const audit = readFileSync(auditLog);
    expect(audit.toString()).toContain('"sign-in"');
    expect(canaries.in('the record', audit)).toEqual([]);
    for (const { pid } of [push, mirror]) {
      expect(canaries.in('a command line', readFileSync(`/proc/${pid}/cmdline`))).toEqual([]);
    }
  });
});
