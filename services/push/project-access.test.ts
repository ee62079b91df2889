import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { BasicAuthenticator } from '../../shared/auth/basic-authenticator.ts';
import { SignIn } from '../../shared/auth/sign-in.ts';
import { testUpstream } from '../../shared/config/testing/test-upstream.ts';
import { ClientOrigins } from '../../shared/http/client-origin.ts';
import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import type { ProjectRecord } from '../../shared/index/ports.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { LocalUsers } from '../../shared/management/local-users.ts';
import { RobotAccounts } from '../../shared/management/robot-accounts.ts';
import { Robots } from '../../shared/management/robots.ts';
import { folderManagement } from '../../shared/management/testing/folder-management.ts';
import { Users } from '../../shared/management/users.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { parseRepositoryName, parseTag } from '../../shared/oci/reference.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

const PASSWORD = 'correct horse';
const MANIFEST = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }),
);

/** A registry whose images a project caches. */
const PARTNER = {
  ...testUpstream(),
  project: 'partner',
  url: 'https://partner.example',
  hosts: ['partner.example'],
};

let push: TestPush;
let users: Users;
let robots: Robots;
const credentials = new Map<string, string>();

beforeAll(async () => {
  push = await startPush({
    config: { upstreams: [testUpstream(), PARTNER] },
    over: ({ folder, records }) => {
      const deps = folderManagement(folder, records);
      users = new Users(deps);
      robots = new Robots(deps);
      const accounts = new RobotAccounts({ robots, clock: systemClock, shutdown: unending });
      return {
        identities: {
          authenticator: new BasicAuthenticator(
            new SignIn([new LocalUsers(users), accounts]),
            'test',
          ),
          origins: new ClientOrigins({ trustedProxies: [], allowsInsecure: true }),
        },
        projectRights: {
          creation: 'everyone',
          visibility: 'private',
          robotRights: (id, signal) => accounts.rightsOf(id, signal),
        },
      };
    },
  });
  for (const [name, isAdmin] of [
    ['root', true],
    ['alice', false],
    ['bob', false],
    ['carol', false],
  ] as const) {
    await users.add({ name, password: PASSWORD, isAdmin, mustChange: false }, unending);
    credentials.set(name, `${name}:${PASSWORD}`);
  }
});
afterAll(() => push.close());

const as = (who: string): Record<string, string> => {
  const pair = credentials.get(who);
  if (pair === undefined) return {};
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
};
const pull = (who: string, name: string): Promise<TestAnswer> =>
  push.send(`/v2/${name}/manifests/v1`, { headers: as(who) });
const pushAs = (who: string, name: string): Promise<TestAnswer> =>
  push.send(`/v2/${name}/manifests/v1`, {
    method: 'PUT',
    headers: { 'content-type': MEDIA_TYPES.ociIndex, ...as(who) },
    body: MANIFEST,
  });
const deleteAs = (who: string, name: string): Promise<TestAnswer> =>
  push.send(`/v2/${name}/manifests/${digestOf(MANIFEST)}`, { method: 'DELETE', headers: as(who) });
const addRobot = async (
  name: string,
  project: string,
  actions: readonly ('pull' | 'push' | 'delete')[],
): Promise<void> => {
  const record = await push.store.index.projects.get(project, unending);
  const robot = { name, actions, expiresAt: undefined, createdBy: undefined };
  const secret = await robots.add(record!, robot, unending);
  credentials.set(name, `robot$${project}+${name}:${secret}`);
};

describe('a project that a push makes', () => {
  test('belongs to who pushed first, is private, and nobody else sees it', async () => {
    expect((await pushAs('alice', 'wonder/land')).status).toBe(201);
    const record = await push.store.index.projects.get('wonder', unending);
    expect(record).toMatchObject({
      createdBy: 'local:alice',
      visibility: 'private',
      members: [{ id: 'local:alice', role: 'maintainer' }],
    });
    expect(record?.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(record).not.toHaveProperty('rootPath');
    expect((await pull('alice', 'wonder/land')).status).toBe(200);
    expect((await pull('root', 'wonder/land')).status).toBe(200);
    expect((await pull('bob', 'wonder/land')).status).toBe(403);
    expect((await pushAs('bob', 'wonder/land')).status).toBe(403);
    expect((await pull('nobody', 'wonder/land')).status).toBe(401);
  });

  test('is served under its bare name at the mirror when an administrator makes it', async () => {
    expect((await pushAs('root', 'official/app')).status).toBe(201);
    expect(await push.store.index.projects.get('official', unending)).toMatchObject({
      createdBy: 'local:root',
      rootPath: true,
    });
  });

  test('is made by an upload too, and never by somebody without a name or a robot', async () => {
    const start = (who: string, name: string): Promise<TestAnswer> =>
      push.send(`/v2/${name}/blobs/uploads/`, { method: 'POST', headers: as(who) });
    expect((await start('bob', 'bobs/app')).status).toBe(202);
    expect(await push.store.index.projects.get('bobs', unending)).toMatchObject({
      createdBy: 'local:bob',
    });
    await addRobot('maker', 'bobs', ['pull', 'push', 'delete']);
    expect((await start('maker', 'made/app')).status).toBe(403);
    expect((await start('nobody', 'made/app')).status).toBe(401);
    expect(await push.store.index.projects.get('made', unending)).toBeUndefined();
  });
});

describe('a private project and one that is not there', () => {
  const comparable = ({ status, headers, body }: TestAnswer, name: string): unknown => ({
    status,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([header]) => !['date', 'content-length'].includes(header)),
    ),
    body: body.toString().replaceAll(name, '<name>'),
  });

  test('look the same to those without rights, by every way to read', async () => {
    await pushAs('alice', 'secret/app');
    const digest = digestOf(MANIFEST);
    const paths = [
      'manifests/v1',
      `manifests/${digest}`,
      `blobs/${digest}`,
      'tags/list',
      `referrers/${digest}`,
    ];
    for (const who of ['nobody', 'bob']) {
      for (const path of paths) {
        for (const method of ['GET', 'HEAD', 'DELETE']) {
          if (method === 'DELETE' && !/^(manifests|blobs)/.test(path)) continue;
          const ask = (name: string): Promise<TestAnswer> =>
            push.send(`/v2/${name}/${path}`, { method, headers: as(who) });
          const [there, absent] = [await ask('secret/app'), await ask('absent/app')];
          expect([who, method, path, comparable(there, 'secret/app')]).toEqual([
            who,
            method,
            path,
            comparable(absent, 'absent/app'),
          ]);
          expect(there.status).toBe(who === 'nobody' ? 401 : 403);
        }
      }
    }
  });

  test('are alike as the source of a mount, which becomes an upload', async () => {
    await pushAs('bob', 'mounts/app');
    for (const from of ['secret/app', 'absent/app']) {
      const answer = await push.send(
        `/v2/mounts/app/blobs/uploads/?mount=${digestOf(MANIFEST)}&from=${from}`,
        { method: 'POST', headers: as('bob') },
      );
      expect([from, answer.status]).toEqual([from, 202]);
    }
  });
});

describe('members, robots and administrators', () => {
  beforeAll(async () => {
    const team: ProjectRecord = {
      schemaVersion: 1,
      name: 'team',
      createdAt: '2026-01-01T00:00:00.000Z',
      id: 'team-1',
      visibility: 'private',
      members: [
        { id: 'local:alice', role: 'developer' },
        { id: 'local:carol', role: 'guest' },
      ],
    };
    await push.store.index.projects.put(team, unending);
    expect((await pushAs('root', 'team/app')).status).toBe(201);
    await addRobot('puller', 'team', ['pull']);
    await addRobot('pusher', 'team', ['push']);
    await addRobot('sweeper', 'team', ['pull', 'delete']);
  });

  test.each([
    ['root', [200, 201, 202]],
    ['alice', [200, 201, 403]],
    ['carol', [200, 403, 403]],
    ['bob', [403, 403, 403]],
    ['nobody', [401, 401, 401]],
    ['puller', [200, 403, 403]],
    ['pusher', [403, 201, 403]],
    ['sweeper', [200, 403, 202]],
  ] as const)('%s pulls, pushes and deletes: %j', async (who, expected) => {
    await pushAs('root', 'team/app');
    const answers = [
      await pull(who, 'team/app'),
      await pushAs(who, 'team/app'),
      await deleteAs(who, 'team/app'),
    ];
    expect(answers.map(({ status }) => status)).toEqual(expected);
    for (const answer of answers) {
      if (answer.status === 403) expect(errorCode(answer)).toBe('DENIED');
    }
  });
});

describe('the catalog', () => {
  test('shows what who asks may pull, in full pages', async () => {
    await push.store.index.projects.put(
      { schemaVersion: 1, name: 'open', createdAt: '2026-01-01T00:00:00.000Z' },
      unending,
    );
    for (const name of ['open/a', 'open/b', 'open/c', 'hidden/a', 'hidden/b', 'team/app']) {
      await pushAs('root', name);
    }
    const catalog = async (who: string, query = ''): Promise<readonly string[]> => {
      const answer = await push.send(`/v2/_catalog${query}`, { headers: as(who) });
      expect(answer.status).toBe(200);
      return (JSON.parse(answer.body.toString()) as { repositories: string[] }).repositories;
    };
    expect(await catalog('nobody')).toEqual(['open/a', 'open/b', 'open/c']);
    expect(await catalog('nobody', '?n=2')).toEqual(['open/a', 'open/b']);
    expect(await catalog('nobody', '?n=2&last=open/b')).toEqual(['open/c']);
    expect(await catalog('root')).toEqual(expect.arrayContaining(['hidden/a', 'open/a']));
    const carols = await catalog('carol');
    expect(carols).toContain('team/app');
    expect(carols).not.toContain('hidden/a');
  });
});

describe('what another project has cached, named by `ns`', () => {
  test('is for those alone who may pull it by the name of that project', async () => {
    const { url } = PARTNER;
    const { index, blobs } = push.store;
    const createdAt = '2026-01-01T00:00:00.000Z';
    await index.projects.put(
      {
        ...{
          schemaVersion: 1,
          name: 'partner',
          createdAt,
          visibility: 'private',
          upstream: { url },
        },
        members: [{ id: 'local:carol', role: 'guest' }],
      },
      unending,
    );
    const repository = parseRepositoryName('partner/team/app')!;
    await index.origins.put(
      repository,
      {
        ...{ schemaVersion: 1, upstreamUrl: url, upstreamRepository: 'team/app' },
        ...{ verdict: 'public', provedAt: createdAt },
      },
      unending,
    );
    const digest = digestOf(MANIFEST);
    await blobs.put(digest, MANIFEST, MANIFEST.length, unending);
    await index.members.add(repository, 'manifest', digest, unending);
    await index.tags.set(repository, parseTag('v1')!, digest, unending);
    const asked = (who: string, name: string, ns: string): Promise<TestAnswer> =>
      push.send(`/v2/${name}/manifests/v1?ns=${ns}`, { headers: as(who) });

    // Bob's own name, and one that everybody pulls.
    await pushAs('bob', 'bobs/app');
    for (const name of ['team/app', 'bobs/app', 'open/a']) {
      expect((await asked('bob', name, 'partner.example')).status).toBe(403);
      expect((await asked('nobody', name, 'partner')).status).toBe(401);
    }
    expect((await asked('carol', 'team/app', 'PARTNER.example')).status).toBe(200);
    expect((await pull('carol', 'partner/team/app')).status).toBe(200);
    // This registry's own host changes nothing.
    expect((await asked('bob', 'bobs/app', 'localhost:5000')).status).toBe(200);
    expect((await asked('carol', 'bobs/app', 'localhost:5000')).status).toBe(403);
  });

  test('changes nothing of what a push, an upload or a delete is about', async () => {
    const ns = '?ns=partner.example';
    const target = `/v2/bobs/app/manifests/${digestOf(MANIFEST)}${ns}`;
    const request = (who: string, method: string): Promise<TestAnswer> =>
      push.send(target, {
        method,
        headers: { 'content-type': MEDIA_TYPES.ociIndex, ...as(who) },
        ...(method === 'PUT' && { body: MANIFEST }),
      });
    expect((await request('carol', 'PUT')).status).toBe(403);
    expect((await request('carol', 'DELETE')).status).toBe(403);
    expect((await request('bob', 'PUT')).status).toBe(201);
    const begin = `/v2/bobs/app/blobs/uploads/${ns}`;
    expect((await push.send(begin, { method: 'POST', headers: as('carol') })).status).toBe(403);
    expect((await push.send(begin, { method: 'POST', headers: as('bob') })).status).toBe(202);
  });
});

describe('an upload session', () => {
  const body = Buffer.from('of bob');
  const methods = (location: string): readonly [string, string][] => [
    ['GET', location],
    ['HEAD', location],
    ['PATCH', location],
    ['PUT', `${location}?digest=${digestOf(body)}`],
    ['DELETE', location],
  ];

  test('is unknown to everybody but who began it, also to those who may push there (T-UP1)', async () => {
    await pushAs('alice', 'shared/app');
    const project = await push.store.index.projects.get('shared', unending);
    const members = ['alice', 'bob'].map((name) => ({ id: `local:${name}`, role: 'developer' }));
    await push.store.index.projects.put({ ...project!, members } as ProjectRecord, unending);
    await addRobot('builder', 'shared', ['pull', 'push']);
    const begin = await push.send('/v2/shared/app/blobs/uploads/', {
      method: 'POST',
      headers: as('bob'),
    });
    const location = String(begin.headers.location);
    const nobodys = location.replace(/[^/]*$/, '00000000-0000-4000-8000-000000000000');
    const told = async (who: string, method: string, target: string): Promise<unknown> => {
      const content = ['PATCH', 'PUT'].includes(method) ? { body } : {};
      const answer = await push.send(target, { method, headers: as(who), ...content });
      const { date, ...headers } = answer.headers;
      expect(date).toBeDefined();
      const id = target.replace(/\?.*$/, '').replace(/^.*\//, '');
      return [answer.status, headers, answer.body.toString().replaceAll(id, '<id>')];
    };
    for (const who of ['alice', 'root', 'builder']) {
      for (const [position, [method, target]] of methods(location).entries()) {
        const unknown = methods(nobodys)[position]?.[1] ?? '';
        const [status] = (await told(who, method, target)) as [number];
        expect([who, method, status]).toEqual([who, method, 404]);
        expect(await told(who, method, target)).toEqual(await told(who, method, unknown));
      }
    }
    const chunk = await push.send(location, { method: 'PATCH', headers: as('bob'), body });
    expect([chunk.status, chunk.headers.range]).toEqual([202, `0-${body.length - 1}`]);
    const end = await push.send(`${location}?digest=${digestOf(body)}`, {
      method: 'PUT',
      headers: as('bob'),
    });
    expect(end.status).toBe(201);
  });

  test('is of one repository alone', async () => {
    await pushAs('bob', 'bobs/other');
    const begin = await push.send('/v2/bobs/app/blobs/uploads/', {
      method: 'POST',
      headers: as('bob'),
    });
    const elsewhere = String(begin.headers.location).replace('/bobs/app/', '/bobs/other/');
    for (const [method, target] of methods(elsewhere)) {
      const content = ['PATCH', 'PUT'].includes(method) ? { body } : {};
      const answer = await push.send(target, { method, headers: as('bob'), ...content });
      expect([method, answer.status]).toEqual([method, 404]);
    }
  });
});
