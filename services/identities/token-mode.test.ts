import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { ALICE } from '../../shared/auth/testing/alice.ts';
import { basic, htpasswdLines } from '../../shared/auth/testing/htpasswd-lines.ts';
import type { TokenModeConfig } from '../../shared/config/auth-config.ts';
import { markStore } from '../../shared/content/store-probe.ts';
import { publishUpstream } from '../../shared/content/upstream-table.ts';
import type { TempStore } from '../../shared/content/testing/temp-store.ts';
import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { RecordedEdge } from '../../shared/http/testing/recorded-edge.ts';
import { ProcessHints } from '../../shared/index/store/process-hints.ts';
import { ProcessLeases } from '../../shared/index/store/process-leases.ts';
import { type Clock, systemClock } from '../../shared/lifecycle/clock.ts';
import type { AuditEvent, AuditLog } from '../../shared/observability/audit-log.ts';
import { CliPasswords } from '../../shared/management/cli-passwords.ts';
import { Robots } from '../../shared/management/robots.ts';
import { folderManagement } from '../../shared/management/testing/folder-management.ts';
import { Users } from '../../shared/management/users.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { FilesystemExclusiveRecords } from '../../shared/storage/filesystem/filesystem-exclusive-records.ts';
import { upstreamKey } from '../../shared/storage/object-keys.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { makeImage } from '../../test/support/oci-fixtures.ts';
import type { OpenIdentities } from './identities-options.ts';
import { ISSUING } from './testing/issuing.ts';
import { openIdentities } from './open-identities.ts';
import { startTestMirror, type TestMirror } from '../mirror/testing/start-test-mirror.ts';
import { startPush, type TestPush } from '../push/testing/start-push.ts';

const PASSWORD = 'correct horse';
const MANIFEST = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }),
);

let push: TestPush;
let directory: Server;
let users: Users;
let robots: Robots;
let aheadMs = 0;
let calls = 0;
const clock: Clock = {
  now: () => systemClock.now(),
  monotonicMs: () => systemClock.monotonicMs() + aheadMs,
  sleep: (ms, signal) => systemClock.sleep(ms, signal),
};
const end = new AbortController();
const edge = new RecordedEdge();
const announced: string[] = [];
const events: AuditEvent[] = [];
const audit: AuditLog = { record: (event) => void events.push(event) };

async function open(store: TempStore): Promise<OpenIdentities> {
  const htpasswdFile = path.join(store.folder, 'users');
  // Once: a file that changes ends what is believed of those who have signed in.
  if (!existsSync(htpasswdFile)) {
    await writeFile(htpasswdFile, await htpasswdLines({ harry: 'of the file' }));
  }
  const { port } = directory.address() as { port: number };
  const auth: TokenModeConfig = {
    mode: 'token',
    htpasswdFile,
    ldap: {
      url: { scheme: 'ldap', host: '127.0.0.1', port },
      startTls: false,
      caFile: undefined,
      account: undefined,
      users: { base: 'dc=example', filter: '(uid={username})', nameAttribute: 'uid' },
      groups: undefined,
      adminGroup: undefined,
    },
    oidc: undefined,
    workloadIssuers: [],
    projectCreation: 'everyone',
    projectVisibility: 'private',
    ...ISSUING,
  };
  return await openIdentities(auth, {
    role: 'push',
    records: store.records,
    exclusive: new FilesystemExclusiveRecords(store.folder),
    shared: { hints: new ProcessHints(systemClock), leases: new ProcessLeases(systemClock) },
    audit,
    announce: (text) => void announced.push(text),
    clock,
    log: edge.log,
    lifetime: end.signal,
  });
}

beforeAll(async () => {
  directory = createServer((socket) => {
    calls += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => directory.listen(0, '127.0.0.1', resolve));
  push = await startPush({
    over: async (store) => {
      const deps = folderManagement(store.folder, store.records);
      users = new Users(deps);
      robots = new Robots(deps);
      return { ...(await open(store)), clock, audit };
    },
  });
  for (const name of ['alice', 'bob', 'carol']) {
    await users.add({ name, password: PASSWORD, isAdmin: false, mustChange: false }, unending);
  }
});
afterAll(async () => {
  end.abort();
  await push.close();
  directory.close();
});

const getToken = (scopes: readonly string[], authorization?: string): Promise<TestAnswer> =>
  push.send(
    `/auth/token?service=twinport&offline_token=true${scopes.map((scope) => `&scope=${scope}`).join('')}`,
    { headers: authorization === undefined ? {} : { authorization } },
  );
interface Told {
  readonly token: string;
  readonly refresh_token?: string;
}
const toldBy = ({ body }: TestAnswer): Told => JSON.parse(body.toString()) as Told;
const bearer = async (scopes: readonly string[], authorization?: string): Promise<string> =>
  `Bearer ${toldBy(await getToken(scopes, authorization)).token}`;
const grantsOf = async (scope: string, authorization?: string): Promise<unknown> =>
  (jwt.decode((await bearer([scope], authorization)).slice(7)) as { access: unknown }).access;
const put = (name: string, authorization: string): Promise<TestAnswer> =>
  push.send(`/v2/${name}/manifests/v1`, {
    method: 'PUT',
    headers: { 'content-type': MEDIA_TYPES.ociIndex, authorization },
    body: MANIFEST,
  });
const get = (target: string, authorization?: string): Promise<TestAnswer> =>
  push.send(target, { headers: authorization === undefined ? {} : { authorization } });
const refresh = (token: string): Promise<TestAnswer> =>
  push.send('/auth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }).toString(),
  });

describe('the first start', () => {
  test('makes an administrator whose password is told once, and opens nothing until it is changed', async () => {
    expect(announced).toHaveLength(1);
    expect(events).toContainEqual({
      ...{ action: 'change-right', result: 'done', by: 'first-start' },
      subject: 'user admin, the first administrator',
    });
    const [, password = ''] = /One-time password {2}(\S+)/.exec(announced[0] ?? '') ?? [];
    expect(password).toMatch(/^[\w-]{24}$/);
    expect(JSON.stringify(edge)).not.toContain(password);
    expect((await getToken([], basic('admin', password))).status).toBe(401);
    await users.setPassword('admin', 'a better one', { mustChange: false }, unending);
    expect((await getToken([], basic('admin', 'a better one'))).status).toBe(200);
    await open(push.store);
    expect(announced).toHaveLength(1);
  });
});

describe('a project', () => {
  test('is made by a push with a token, belongs to who pushed, and is private', async () => {
    const alice = basic('alice', PASSWORD);
    const unasked = await push.send('/v2/wonder/land/blobs/uploads/', { method: 'POST' });
    expect(unasked.headers['www-authenticate']).toMatch(
      /^Bearer realm=".*\/auth\/token",service="twinport",scope="repository:wonder\/land:pull,push"$/,
    );
    const token = await bearer(['repository:wonder/land:pull,push'], alice);
    // Clients look for what is there already before they push.
    expect((await get('/v2/wonder/land/manifests/v1', token)).status).toBe(404);
    const reader = await bearer(['repository:wonder/land:pull'], alice);
    expect((await get('/v2/wonder/land/manifests/v1', reader)).status).toBe(401);
    expect((await put('wonder/land', token)).status).toBe(201);
    // With the same token, although it was issued when there was no project.
    expect((await put('wonder/land', token)).status).toBe(201);
    expect(events).toContainEqual(
      expect.objectContaining({
        action: 'push',
        result: 'done',
        actor: { id: 'local:alice', name: 'alice' },
      }),
    );
    const record = await push.store.index.projects.get('wonder', unending);
    expect(record).toMatchObject({ createdBy: 'local:alice', visibility: 'private' });
    const scope = 'repository:wonder/land:pull,push,delete';
    expect(await grantsOf(scope, alice)).toEqual([
      {
        type: 'repository',
        name: 'wonder/land',
        actions: ['pull', 'push', 'delete'],
        project: record?.id,
      },
    ]);
    expect(await grantsOf(scope, basic('bob', PASSWORD))).toEqual([]);
    expect(await grantsOf(scope)).toEqual([]);
  });

  test('has its bare name at the mirror when an administrator makes it', async () => {
    const root = { name: 'root', password: PASSWORD, isAdmin: true, mustChange: false };
    await users.add(root, unending);
    const token = await bearer(['repository:official/app:push'], basic('root', PASSWORD));
    expect((await put('official/app', token)).status).toBe(201);
    expect(await push.store.index.projects.get('official', unending)).toMatchObject({
      createdBy: 'local:root',
      rootPath: true,
    });
  });

  test('that is made again honours no token of the one before within 30 seconds (T-TK5)', async () => {
    const { projects } = push.store.index;
    const scope = 'repository:again/app:pull,push';
    const alice = basic('alice', PASSWORD);
    expect((await put('again/app', await bearer([scope], alice))).status).toBe(201);
    const old = await bearer([scope], alice);
    expect((await get('/v2/again/app/manifests/v1', old)).status).toBe(200);
    const record = await projects.get('again', unending);
    await projects.put({ ...record!, id: 'another', createdBy: 'local:bob' }, unending);
    aheadMs += 30_001;
    const answer = await get('/v2/again/app/manifests/v1', old);
    expect([answer.status, errorCode(answer)]).toEqual([401, 'DENIED']);
    expect((await put('again/app', old)).status).toBe(401);
  });

  test('is listed to who may pull from it', async () => {
    await put('listed/app', await bearer(['repository:listed/app:push'], basic('bob', PASSWORD)));
    const listed = async (authorization?: string): Promise<unknown> => {
      const token = await bearer(['registry:catalog:*'], authorization);
      return (JSON.parse((await get('/v2/_catalog', token)).body.toString()) as object)[
        'repositories' as never
      ];
    };
    expect(await listed(basic('bob', PASSWORD))).toContain('listed/app');
    expect(await listed(basic('carol', PASSWORD))).not.toContain('listed/app');
    expect(await listed()).not.toContain('listed/app');
  });
});

describe('whoever loses his way in', () => {
  test('as a user gets no new token from then on, whatever stands in for his password', async () => {
    const carol = basic('carol', PASSWORD);
    const token = toldBy(await getToken([], carol)).refresh_token ?? '';
    expect((await refresh(token)).status).toBe(200);
    await users.setDisabled('carol', true, unending);
    expect((await refresh(token)).status).toBe(401);
    const line = { by: 'kept-login', address: expect.any(String) };
    const actor = { id: 'local:carol', name: 'carol' };
    expect(events).toContainEqual({
      ...{ ...line, actor, action: 'make-secret', subject: 'kept login', result: 'done' },
    });
    expect(events).toContainEqual({ ...line, actor, action: 'sign-in', result: 'done' });
    expect(events).toContainEqual({ ...line, action: 'sign-in', result: 'denied', status: 401 });
  });

  test('as the holder of a password for the command line has nothing that outlives it', async () => {
    const passwords = new CliPasswords(push.store.records, systemClock);
    const expiresAt = new Date(Date.now() + 3600_000);
    const { secret, record } = await passwords.make(ALICE, { label: 'x', expiresAt }, unending);
    const laptop = basic('alice', secret);
    const answer = await getToken([], laptop);
    expect(answer.status).toBe(200);
    expect(toldBy(answer).refresh_token).toBeUndefined();
    await passwords.revoke(ALICE.id, record.id, unending);
    aheadMs += 30_001;
    // Any other password under the name ends what was believed of it.
    expect((await getToken([], basic('alice', 'another'))).status).toBe(401);
    expect((await getToken([], laptop)).status).toBe(401);
  });

  test('by another secret or password gets nothing lasting by the one before, although he is believed for a while', async () => {
    const alice = basic('alice', PASSWORD);
    await put('leaky/app', await bearer(['repository:leaky/app:push'], alice));
    const project = await push.store.index.projects.get('leaky', unending);
    const ci = {
      name: 'ci',
      actions: ['pull'],
      expiresAt: undefined,
      createdBy: undefined,
    } as const;
    const secret = await robots.add(project!, ci, unending);
    const dora = { name: 'dorothy', password: PASSWORD, isAdmin: false, mustChange: false };
    await users.add(dora, unending);
    const leaked = [basic('robot$leaky+ci', secret), basic('dorothy', PASSWORD)];
    for (const pair of leaked) expect(toldBy(await getToken([], pair)).refresh_token).toBeDefined();
    // By another process: nobody tells this one.
    await robots.rotate({ project: 'leaky', name: 'ci' }, unending);
    await users.setPassword('dorothy', 'ruby slippers', { mustChange: false }, unending);
    for (const pair of leaked) {
      const answer = await getToken([], pair);
      expect(answer.status).toBe(200);
      expect(toldBy(answer).refresh_token).toBeUndefined();
    }
  });

  test('as a robot keeps no right for longer than 30 seconds beyond its tokens', async () => {
    const alice = basic('alice', PASSWORD);
    await put('machines/app', await bearer(['repository:machines/app:push'], alice));
    const project = await push.store.index.projects.get('machines', unending);
    const robot = { name: 'ci', expiresAt: undefined, createdBy: undefined };
    const secret = await robots.add(project!, { ...robot, actions: ['pull'] }, unending);
    const ci = basic('robot$machines+ci', secret);
    const scope = 'repository:machines/app:pull,push';
    expect(await grantsOf(scope, ci)).toMatchObject([{ actions: ['pull'] }]);
    const token = toldBy(await getToken([], ci)).refresh_token ?? '';
    await robots.setDisabled({ project: 'machines', name: 'ci' }, true, unending);
    expect((await refresh(token)).status).toBe(401);
    aheadMs += 30_001;
    expect(await grantsOf(scope, ci)).toEqual([]);
  });
});

describe('with a directory that does not answer', () => {
  test('people and robots of the registry and of its file sign in, and the others are told to come again', async () => {
    expect(await grantsOf('repository:harrys/app:push', basic('harry', 'of the file'))).toEqual([
      { type: 'repository', name: 'harrys/app', actions: ['push'] },
    ]);
    const before = calls;
    const stranger = await getToken([], basic('dora', 'the explorer'));
    expect([stranger.status, errorCode(stranger)]).toEqual([503, 'UNAVAILABLE']);
    expect(calls).toBe(before + 1);
  });

  test('no secret that this registry made is sent to it, nor the name of a robot', async () => {
    const before = calls;
    const pairs: readonly (readonly [string, string])[] = [
      ['robot$none+here', 'x'],
      ['dora', `twp_${'a'.repeat(48)}_${'b'.repeat(43)}`],
      ['dora', 'twp_something'],
    ];
    for (const pair of pairs) {
      expect((await getToken([], basic(...pair))).status).toBe(401);
    }
    expect(calls).toBe(before);
  });
});

describe('the mirror', () => {
  let upstream: FakeUpstream;
  let mirror: TestMirror;
  beforeAll(async () => {
    upstream = await startFakeUpstream();
    upstream.addImage('library/hello', '1', makeImage({ layerBytes: [100] }));
    mirror = await startTestMirror(upstream.url, {
      store: push.store,
      over: await open(push.store),
    });
    await put('inside/app', await bearer(['repository:inside/app:push'], basic('alice', PASSWORD)));
  });
  afterAll(async () => {
    await mirror.stop();
    await upstream.stop();
  });
  const ask = (target: string, authorization?: string): Promise<TestAnswer> =>
    mirror.send(target, { headers: authorization === undefined ? {} : { authorization } });
  const tokenFor = (scope: string, authorization?: string): Promise<TestAnswer> =>
    ask(
      `/auth/token?service=twinport-mirror${scope === '' ? '' : `&scope=${scope}`}`,
      authorization,
    );
  const HUB = basic('alice', 'what Docker Hub knows');

  test('gives a login of Docker Hub what is public, without telling it to anybody', async () => {
    const before = calls;
    const answer = await tokenFor('repository:library/hello:pull', HUB);
    expect(answer.status).toBe(200);
    const { token } = toldBy(answer);
    expect(jwt.decode(token)).toMatchObject({ sub: '' });
    expect((await ask('/v2/library/hello/manifests/1', `Bearer ${token}`)).status).toBe(200);
    expect(calls).toBe(before);
    expect(JSON.stringify([events, mirror.edge])).not.toContain('Docker Hub');
    expect((await tokenFor('', HUB)).status).toBe(401);
  });

  test('tells how it is and who asks, and manages nothing', async () => {
    await markStore(push.store.records, unending);
    const json = async (target: string, authorization?: string): Promise<unknown> =>
      JSON.parse((await ask(target, authorization)).body.toString());
    expect(await json('/api/v1/health')).toEqual({ role: 'mirror', isReady: true, state: 'ready' });
    expect(await json('/api/v1/account', basic('bob', PASSWORD))).toMatchObject({
      id: 'local:bob',
      isAdmin: false,
    });
    expect((await ask('/api/v1/account')).status).toBe(401);
    const { paths } = (await json('/api/v1/openapi.json')) as { paths: object };
    expect(Object.keys(paths).sort()).toEqual([
      '/api/v1/account',
      '/api/v1/health',
      '/api/v1/openapi.json',
    ]);
    expect((await ask('/api/v1/projects', basic('bob', PASSWORD))).status).toBe(404);
  });

  test.each(['its configuration', 'an administrator'])(
    'passes private images of an upstream on to the members of a project, as %s says',
    async (whose) => {
      const name = whose === 'an administrator' ? 'lab' : 'mirror';
      const account = { username: 'shop', password: 's3cret' };
      upstream.behaviour.wantsToken = true;
      upstream.behaviour.account = account;
      upstream.behaviour.privateRepositories.add('team/secret');
      upstream.addImage('team/secret', '1', makeImage({ layerBytes: [10] }));
      const { records, index } = push.store;
      const { projects } = index;
      if (name === 'lab') await makeCache(name);
      const passing = await startTestMirror(upstream.url, {
        ...account,
        store: push.store,
        upstream: { private: name === 'lab' ? 'refuse' : 'pass-through' },
        over: await open(push.store),
      });
      try {
        const record = (await projects.get(name, unending))!;
        const maker = name === 'lab' ? { passThrough: true } : { isConfigured: true };
        expect(record).toMatchObject({ visibility: 'private', upstream: maker });
        const members = [{ id: 'local:bob', role: 'guest' }] as const;
        await projects.put({ ...record, members }, unending);
        const pull = async (authorization?: string): Promise<number> => {
          const headers = authorization === undefined ? {} : { authorization };
          const scope = `service=twinport-mirror&scope=repository:${name}/team/secret:pull`;
          const told = await passing.send(`/auth/token?${scope}`, { headers });
          const authorized = { authorization: `Bearer ${toldBy(told).token}` };
          const path = `/v2/${name}/team/secret/manifests/1`;
          return (await passing.send(path, { headers: authorized })).status;
        };
        expect(await pull(basic('bob', PASSWORD))).toBe(200);
        expect(await pull(basic('alice', PASSWORD))).toBe(401);
        expect(await pull()).toBe(401);
        await projects.put({ ...record, members, visibility: 'public' }, unending);
        aheadMs += 30_001;
        expect(await pull()).toBe(401);
        expect((await passing.files()).filter((file) => file.includes('secret'))).toEqual([]);
      } finally {
        await passing.stop();
        upstream.behaviour.wantsToken = false;
        await projects.remove(name, unending);
        await records.delete(upstreamKey(name), unending);
      }
    },
  );

  /** As `twinport project create <name> --upstream <url> --pass-through` makes it. */
  async function makeCache(name: string): Promise<void> {
    const { records, index } = push.store;
    const cached = { url: upstream.url, hosts: [] };
    await publishUpstream(records, { project: name, ...cached }, unending);
    const createdAt = '2026-01-01T00:00:00.000Z';
    const said = { visibility: 'private', upstream: { ...cached, passThrough: true } } as const;
    await index.projects.create({ schemaVersion: 1, name, createdAt, ...said }, unending);
  }

  test('shows a private project to its members alone, under the name that is never an upstream', async () => {
    const scope = 'repository:local/inside/app:pull';
    const path = '/v2/local/inside/app/manifests/v1';
    const told = async (authorization?: string): Promise<TestAnswer> =>
      ask(path, `Bearer ${toldBy(await tokenFor(scope, authorization)).token}`);
    expect((await told(basic('alice', PASSWORD))).status).toBe(200);
    expect((await told(basic('bob', PASSWORD))).status).toBe(401);
    expect((await told()).status).toBe(401);
    expect((await ask(path)).status).toBe(401);
    expect((await tokenFor(scope, basic('nobody', 'x'))).status).toBe(503);
    // A token of the push service means nothing here.
    const foreign = await bearer(['repository:local/inside/app:pull'], basic('alice', PASSWORD));
    expect((await ask(path, foreign)).status).toBe(401);
  });
});
