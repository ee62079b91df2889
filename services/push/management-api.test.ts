import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { type ManagedPush, PASSWORD, startManagedPush } from './testing/start-managed-push.ts';

const MANIFEST = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }),
);
const DIGEST = digestOf(MANIFEST);
const TEAM = '/api/v1/projects/team';

let push: ManagedPush;

const pushImage = async (who: string, name: string, tag = 'v1'): Promise<number> => {
  const pair = push.credentials.get(who) ?? '';
  const { status } = await push.send(`/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    headers: {
      'content-type': MEDIA_TYPES.ociIndex,
      authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
    },
    body: MANIFEST,
  });
  return status;
};

/** In `team` alice is its maintainer, bob a developer, carol a guest; dave is nobody there. */
beforeAll(async () => {
  push = await startManagedPush({
    begin: () => Promise.reject(new Error('nobody signs in there')),
    finish: () => Promise.reject(new Error('nobody signs in there')),
  });
  expect((await push.call('alice', 'POST', '/api/v1/projects', { name: 'team' })).status).toBe(201);
  for (const [who, role] of [
    ['bob', 'developer'],
    ['carol', 'guest'],
  ]) {
    const { status } = await push.call('alice', 'PUT', `${TEAM}/members/local:${who}`, { role });
    expect(status).toBe(204);
  }
});
afterAll(() => push.close());

interface Operation {
  readonly operationId: string;
  readonly 'x-access': string;
}

describe('who is believed because his password was right just now', () => {
  test('reads for half a minute, and changes nothing once it was changed elsewhere', async () => {
    await push.users.add(
      { name: 'abby', password: PASSWORD, isAdmin: true, mustChange: false },
      unending,
    );
    push.credentials.set('abby', `abby:${PASSWORD}`);
    const secrets = '/api/v1/account/cli-passwords';
    expect((await push.call('abby', 'GET', secrets)).status).toBe(200);
    await push.users.setPassword('abby', 'another password', { mustChange: false }, unending);
    expect((await push.call('abby', 'GET', secrets)).status).toBe(200);
    const made = await push.call('abby', 'POST', secrets, { label: 'kept' });
    expect(made.status).toBe(401);
    const other = { name: 'eva', isAdmin: true };
    expect((await push.call('abby', 'POST', '/api/v1/users', other)).status).toBe(401);
  });
});

describe('the OpenAPI document', () => {
  test('has every endpoint with who may call it, and no other', async () => {
    const { status, json } = await push.call('nobody', 'GET', '/api/v1/openapi.json');
    expect(status).toBe(200);
    const { paths } = json as { paths: Record<string, Record<string, Operation>> };
    const lines = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, operation]) => `${operation['x-access']} ${method.toUpperCase()} ${path}`,
      ),
    );
    expect(lines.sort()).toEqual(
      [
        'admin GET /api/v1/people',
        'admin GET /api/v1/users',
        'admin GET /api/v1/users/{user}',
        'admin PATCH /api/v1/people/{person}',
        'admin PATCH /api/v1/users/{user}',
        'admin POST /api/v1/users',
        'admin PUT /api/v1/users/{user}/password',
        'open GET /api/v1/openapi.json',
        'open POST /api/v1/account/password',
        'open POST /api/v1/session',
        'person DELETE /api/v1/account/cli-passwords/{id}',
        'person DELETE /api/v1/projects/{project}',
        'person DELETE /api/v1/projects/{project}/groups/{group}',
        'person DELETE /api/v1/projects/{project}/members/{member}',
        'person DELETE /api/v1/projects/{project}/robots/{robot}',
        'person GET /api/v1/account/cli-passwords',
        'person PATCH /api/v1/projects/{project}',
        'person PATCH /api/v1/projects/{project}/robots/{robot}',
        'person POST /api/v1/account/cli-passwords',
        'person POST /api/v1/projects',
        'person POST /api/v1/projects/{project}/robots',
        'person POST /api/v1/projects/{project}/robots/{robot}/secret',
        'person PUT /api/v1/projects/{project}/groups/{group}',
        'person PUT /api/v1/projects/{project}/members/{member}',
        'reader GET /api/v1/health',
        'reader GET /api/v1/projects',
        'reader GET /api/v1/projects/{project}',
        'reader GET /api/v1/projects/{project}/repositories',
        'reader GET /api/v1/repositories/{repository}/-/manifests',
        'reader GET /api/v1/repositories/{repository}/-/manifests/{reference}',
        'reader GET /api/v1/repositories/{repository}/-/tags',
        'signed-in DELETE /api/v1/repositories/{repository}/-/manifests/{reference}',
        'signed-in DELETE /api/v1/repositories/{repository}/-/tags/{tag}',
        'signed-in DELETE /api/v1/session',
        'signed-in GET /api/v1/account',
        'signed-in GET /api/v1/projects/{project}/members',
        'signed-in GET /api/v1/projects/{project}/robots',
        'signed-in GET /api/v1/projects/{project}/usage',
        'signed-in GET /api/v1/session',
      ].sort(),
    );
  });

  test('is of the version that tools read, with schemas that end at their fields', async () => {
    const { json } = await push.call('nobody', 'GET', '/api/v1/openapi.json');
    expect(json).toMatchObject({
      openapi: '3.1.0',
      paths: {
        '/api/v1/projects': {
          post: {
            requestBody: {
              content: { 'application/json': { schema: { additionalProperties: false } } },
            },
          },
        },
      },
    });
    const operations = Object.values(
      (json as { paths: Record<string, Record<string, Operation>> }).paths,
    ).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(new Set(operations).size).toBe(operations.length);
  });

  test('shows secrets where they are made and nowhere else', async () => {
    const { json } = await push.call('nobody', 'GET', '/api/v1/openapi.json');
    const { paths } = json as { paths: Record<string, Record<string, Operation>> };
    const secretive = Object.values(paths).flatMap((methods) =>
      Object.values(methods)
        .filter((operation) => {
          const { responses } = operation as unknown as { responses: unknown };
          return /"[a-z]*(?:secret|hash|password)[a-z]*":/i.test(
            JSON.stringify(responses).replaceAll('"cliPasswords":', ''),
          );
        })
        .map(({ operationId }) => operationId),
    );
    expect(secretive.sort()).toEqual(['addRobot', 'makeCliPassword', 'rotateRobot']);
  });
});

describe('an endpoint', () => {
  test('asks for credentials before it looks at anything else', async () => {
    const { json } = await push.call('nobody', 'GET', '/api/v1/openapi.json');
    const { paths } = json as { paths: Record<string, Record<string, Operation>> };
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const access = operation['x-access'];
        if (access === 'open' || access === 'reader') continue;
        const target = path.replaceAll(/\{[a-z]+\}/gi, 'team');
        const answer = await push.call('nobody', method.toUpperCase(), target);
        expect([path, method, answer.status]).toEqual([path, method, 401]);
        expect(answer.headers['www-authenticate']).toMatch(/^Basic /);
      }
    }
  });

  test.each(['bob', 'carol', 'dave', 'alice'])(
    'for administrators is closed to %s, and to everybody by a password for the command line',
    async (who) => {
      expect((await push.call(who, 'GET', '/api/v1/users')).status).toBe(403);
    },
  );

  test('answers other methods with those that it has, and unknown paths with 404', async () => {
    const other = await push.call('root', 'PUT', '/api/v1/projects', {});
    expect([other.status, other.headers.allow]).toEqual([405, 'GET, HEAD, POST']);
    for (const path of ['/api/v1/', '/api/v1/nothing', '/api/v1/projects/', `${TEAM}/x`]) {
      expect([path, (await push.call('root', 'GET', path)).status]).toEqual([path, 404]);
    }
    expect((await push.call('root', 'HEAD', TEAM)).status).toBe(200);
  });

  test.each([
    ['{"name":"new","isAdmin":true}', 400],
    ['{"name":"new","__proto__":{"isAdmin":true}}', 400],
    ['{"name":"new","constructor":{}}', 400],
    ['{"name":"new","name":"other"}', 400],
    ['{"name":1}', 400],
    ['{"name":"new"', 400],
    ['[]', 400],
    ['{"name":"../team"}', 400],
    [JSON.stringify({ name: 'x'.repeat(70_000) }), 413],
  ])('refuses the body %.60s', async (body, status) => {
    const answer = await sendAs('root', 'POST', '/api/v1/projects', 'application/json', body);
    expect(answer.status).toBe(status);
    expect((await push.call('root', 'GET', '/api/v1/projects/new')).status).toBe(404);
  });

  test('refuses what forms of other sites can send, and parameters that it does not know', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const answer = await sendAs('root', 'POST', '/api/v1/projects', type, '{"name":"new"}');
      expect(answer.status).toBe(415);
    }
    for (const query of ['x=1', 'n=0', 'n=1&n=2', 'n=x', 'sort=passwordHash']) {
      const { status } = await push.call('root', 'GET', `/api/v1/projects?${query}`);
      expect([query, status]).toEqual([query, 400]);
    }
  });
});

const sendAs = (
  who: string,
  method: string,
  path: string,
  type: string,
  body: string,
): Promise<TestAnswer> =>
  push.send(path, {
    method,
    headers: {
      'content-type': type,
      authorization: `Basic ${Buffer.from(push.credentials.get(who) ?? '').toString('base64')}`,
    },
    body,
  });

describe('a private project', () => {
  test('looks like none to those without rights, whatever they ask of it', async () => {
    const comparable = ({ status, headers, body }: TestAnswer, name: string): unknown => ({
      status,
      headers: { ...headers, date: '' },
      body: body.toString().replaceAll(name, 'NAME'),
    });
    const tails: readonly (readonly [string, string, unknown?])[] = [
      ['GET', ''],
      ['PATCH', '', { visibility: 'public' }],
      ['DELETE', ''],
      ['GET', '/members'],
      ['PUT', '/members/local:dave', { role: 'admin' }],
      ['DELETE', '/members/local:bob'],
      ['PUT', '/groups/ldap:staff', { role: 'guest' }],
      ['GET', '/robots'],
      ['POST', '/robots', { name: 'ci', actions: ['pull'] }],
      ['DELETE', '/robots/ci'],
      ['GET', '/repositories'],
      ['GET', '/usage'],
    ];
    for (const who of ['dave', 'nobody']) {
      for (const [method, tail, body] of tails) {
        const one = await push.call(who, method, `${TEAM}${tail}`, body);
        const none = await push.call(who, method, `/api/v1/projects/gone${tail}`, body);
        expect([401, 404]).toContain(one.status);
        expect(comparable(one, 'team')).toEqual(comparable(none, 'gone'));
      }
      for (const [method, tail] of [
        ['GET', 'tags'],
        ['GET', 'manifests'],
        ['GET', 'manifests/v1'],
        ['DELETE', 'tags/v1'],
        ['DELETE', `manifests/${DIGEST}`],
      ] as const) {
        const one = await push.call(who, method, `/api/v1/repositories/team/app/-/${tail}`);
        const none = await push.call(who, method, `/api/v1/repositories/gone/app/-/${tail}`);
        expect([401, 404]).toContain(one.status);
        expect(comparable(one, 'team')).toEqual(comparable(none, 'gone'));
      }
    }
  });

  test('is listed for those who may pull from it', async () => {
    const names = async (who: string): Promise<string[]> => {
      const { json } = await push.call(who, 'GET', '/api/v1/projects');
      return (json as { projects: { name: string }[] }).projects.map(({ name }) => name);
    };
    for (const who of ['root', 'alice', 'bob', 'carol']) expect(await names(who)).toContain('team');
    for (const who of ['dave', 'nobody']) expect(await names(who)).not.toContain('team');
  });
});

describe('a project that is made', () => {
  test('takes no name over at the root path of the mirror, unless an administrator makes it', async () => {
    for (const [who, isApproved] of [
      ['dave', undefined],
      ['root', true],
    ] as const) {
      const name = `made-by-${who}`;
      expect((await push.call(who, 'POST', '/api/v1/projects', { name })).status).toBe(201);
      const record = await push.store.index.projects.get(name, unending);
      expect(record).toMatchObject({ createdBy: `local:${who}` });
      expect(record?.rootPath).toBe(isApproved);
    }
  });
});

describe('the members of a project', () => {
  test('see each other, and maintainers decide about them up to their own role', async () => {
    const { json } = await push.call('carol', 'GET', `${TEAM}/members`);
    expect(json).toEqual({
      members: [
        { id: 'local:alice', role: 'maintainer' },
        { id: 'local:bob', role: 'developer' },
        { id: 'local:carol', role: 'guest' },
      ],
      groups: [],
    });
    for (const who of ['bob', 'carol']) {
      const { status } = await push.call(who, 'PUT', `${TEAM}/members/local:${who}`, {
        role: 'maintainer',
      });
      expect(status).toBe(403);
    }
    const own = `${TEAM}/members/local:alice`;
    expect((await push.call('alice', 'PUT', own, { role: 'admin' })).status).toBe(403);
    const chief = `${TEAM}/members/local:chief`;
    expect((await push.call('root', 'PUT', chief, { role: 'admin' })).status).toBe(204);
    expect((await push.call('alice', 'PUT', chief, { role: 'guest' })).status).toBe(403);
    expect((await push.call('alice', 'DELETE', chief)).status).toBe(403);
    expect((await push.call('root', 'DELETE', chief)).status).toBe(204);
    expect((await push.call('root', 'DELETE', chief)).status).toBe(404);
  });

  test('have ids with any characters, and a source', async () => {
    const id = encodeURIComponent('oidc:https://login.example/#f3a1');
    const path = `${TEAM}/members/${id}`;
    expect((await push.call('alice', 'PUT', path, { role: 'guest' })).status).toBe(204);
    const { json } = await push.call('alice', 'GET', `${TEAM}/members`);
    expect(json).toMatchObject({
      members: expect.arrayContaining([
        { id: 'oidc:https://login.example/#f3a1', role: 'guest' },
      ]) as unknown,
    });
    expect((await push.call('alice', 'DELETE', path)).status).toBe(204);
    for (const bad of ['dave', 'local:', '%00local:x', 'x'.repeat(2000)]) {
      const { status } = await push.call('alice', 'PUT', `${TEAM}/members/${bad}`, {
        role: 'guest',
      });
      expect([bad.slice(0, 20), status]).toEqual([bad.slice(0, 20), 400]);
    }
  });
});

describe('the settings of a project', () => {
  test('are changed by maintainers, and the place at the mirror by administrators', async () => {
    const rules = { immutableTags: ['v*'] };
    expect((await push.call('bob', 'PATCH', TEAM, rules)).status).toBe(403);
    expect((await push.call('alice', 'PATCH', TEAM, rules)).json).toMatchObject({
      visibility: 'private',
      immutableTags: ['v*'],
      role: 'maintainer',
    });
    expect((await push.call('alice', 'PATCH', TEAM, { rootPath: true })).status).toBe(403);
    expect((await push.call('root', 'PATCH', TEAM, { rootPath: true })).json).toMatchObject({
      immutableTags: ['v*'],
      rootPath: true,
    });
    const back = { rootPath: null, immutableTags: null };
    const { json } = await push.call('root', 'PATCH', TEAM, back);
    expect(json).not.toHaveProperty('rootPath');
    expect(json).toHaveProperty('immutableTags', []);
    expect((await push.call('alice', 'PATCH', TEAM, { quota: 1 })).status).toBe(400);
  });

  test('give it a quota by administrators, and members see what it takes', async () => {
    const quotaBytes = 1_000_000;
    expect((await push.call('alice', 'PATCH', TEAM, { quotaBytes })).status).toBe(403);
    expect((await push.call('root', 'PATCH', TEAM, { quotaBytes: -1 })).status).toBe(400);
    expect((await push.call('root', 'PATCH', TEAM, { quotaBytes })).json).toMatchObject({
      quotaBytes,
    });
    const usage = async (): Promise<unknown> =>
      (await push.call('carol', 'GET', `${TEAM}/usage`)).json;
    expect(await usage()).toEqual({ usedBytes: 0, quotaBytes });
    expect(await pushImage('bob', 'team/counted')).toBe(201);
    expect(await pushImage('bob', 'team/counted', 'again')).toBe(201);
    expect(await usage()).toEqual({ usedBytes: MANIFEST.length, quotaBytes });
    expect((await push.call('root', 'PATCH', TEAM, { quotaBytes: null })).json).not.toHaveProperty(
      'quotaBytes',
    );
    const path = `/api/v1/repositories/team/counted/-/manifests/${DIGEST}`;
    expect((await push.call('alice', 'DELETE', path)).status).toBe(204);
  });
});

describe('a cache of another registry', () => {
  test('is made by administrators, and takes no pushes', async () => {
    const cache = { name: 'partner', upstream: 'https://registry.partner.example' };
    expect((await push.call('alice', 'POST', '/api/v1/projects', cache)).status).toBe(403);
    const wrong = { ...cache, upstream: 'file:///etc' };
    expect((await push.call('root', 'POST', '/api/v1/projects', wrong)).status).toBe(400);
    expect((await push.call('root', 'POST', '/api/v1/projects', cache)).json).toMatchObject({
      name: 'partner',
      upstream: { url: cache.upstream },
    });
    expect(await pushImage('root', 'partner/app')).toBe(403);
  });

  test('is there for its members, who decide about it, and for everybody when it is public', async () => {
    const path = '/api/v1/projects/mirror';
    await push.store.index.projects.put(
      {
        ...{ schemaVersion: 1, name: 'mirror', createdAt: '2026-01-01T00:00:00.000Z' },
        ...{ visibility: 'private', upstream: { url: 'https://registry-1.docker.io' } },
        members: [{ id: 'local:alice', role: 'maintainer' }],
      },
      unending,
    );
    const seen = async (who: string): Promise<unknown> => {
      const { json } = await push.call(who, 'GET', '/api/v1/projects');
      const isListed = (json as { projects: { name: string }[] }).projects.some(
        ({ name }) => name === 'mirror',
      );
      return [(await push.call(who, 'GET', path)).status, isListed];
    };
    expect(await seen('alice')).toEqual([200, true]);
    expect(await seen('bob')).toEqual([404, false]);
    expect(await seen('nobody')).toEqual([401, false]);
    const role = { role: 'guest' };
    expect((await push.call('alice', 'PUT', `${path}/members/local:bob`, role)).status).toBe(204);
    expect(await seen('bob')).toEqual([200, true]);
    const everybody = { visibility: 'public' };
    expect((await push.call('alice', 'PATCH', path, everybody)).status).toBe(200);
    expect(await seen('nobody')).toEqual([200, true]);
  });

  test('passes private images on when administrators say so, and not those who run the project', async () => {
    const path = '/api/v1/projects/lab';
    const cache = { name: 'lab', upstream: 'https://registry.firm.example', passThrough: true };
    expect((await push.call('alice', 'POST', '/api/v1/projects', cache)).status).toBe(403);
    const told = (passThrough: boolean) => ({ upstream: { url: cache.upstream, passThrough } });
    expect((await push.call('root', 'POST', '/api/v1/projects', cache)).json).toMatchObject(
      told(true),
    );
    const member = { role: 'maintainer' };
    expect((await push.call('root', 'PUT', `${path}/members/local:alice`, member)).status).toBe(
      204,
    );
    for (const passThrough of [false, true]) {
      expect((await push.call('alice', 'PATCH', path, { passThrough })).status).toBe(403);
      expect((await push.call('root', 'PATCH', path, { passThrough })).json).toMatchObject(
        told(passThrough),
      );
    }
    expect((await push.call('root', 'PATCH', TEAM, { passThrough: true })).status).toBe(403);
  });
});

describe('robots', () => {
  test('are made with a secret that is shown once, rotated, disabled and removed', async () => {
    const made = await push.call('alice', 'POST', `${TEAM}/robots`, {
      name: 'ci',
      actions: ['pull', 'push'],
      days: 1,
    });
    expect(made.status).toBe(201);
    const { username, secret } = made.json as { username: string; secret: string };
    expect(username).toBe('robot$team+ci');
    push.credentials.set('ci', `${username}:${secret}`);
    expect((await push.call('ci', 'GET', '/api/v1/account')).json).toEqual({
      id: 'robot:team+ci',
      name: 'robot$team+ci',
      kind: 'robot',
      groups: [],
      isAdmin: false,
    });
    const list = await push.call('alice', 'GET', `${TEAM}/robots`);
    expect(list.json).toMatchObject({ robots: [{ name: 'ci', createdBy: 'local:alice' }] });
    expect(list.body.toString()).not.toMatch(/secret|hash/i);
    expect((await push.call('bob', 'GET', `${TEAM}/robots`)).status).toBe(403);
    const rotated = await push.call('alice', 'POST', `${TEAM}/robots/ci/secret`);
    expect((rotated.json as { secret: string }).secret).not.toBe(secret);
    push.credentials.set('ci2', `${username}:${(rotated.json as { secret: string }).secret}`);
    expect((await push.call('ci2', 'GET', TEAM)).status).toBe(200);
    const disabled = { disabled: true };
    expect((await push.call('alice', 'PATCH', `${TEAM}/robots/ci`, disabled)).status).toBe(204);
    expect((await push.call('alice', 'DELETE', `${TEAM}/robots/ci`)).status).toBe(204);
    expect((await push.call('alice', 'DELETE', `${TEAM}/robots/ci`)).status).toBe(404);
  });

  test('change no rights and make no secrets, whatever they may do with images', async () => {
    const made = await push.call('alice', 'POST', `${TEAM}/robots`, {
      name: 'admin',
      actions: ['pull', 'push', 'delete'],
    });
    const { username, secret } = made.json as { username: string; secret: string };
    push.credentials.set('robot', `${username}:${secret}`);
    for (const [method, path, body] of [
      ['POST', '/api/v1/projects', { name: 'mine' }],
      ['PATCH', TEAM, { visibility: 'public' }],
      ['DELETE', TEAM],
      ['PUT', `${TEAM}/members/local:dave`, { role: 'guest' }],
      ['POST', `${TEAM}/robots`, { name: 'other', actions: ['pull'] }],
      ['GET', `${TEAM}/robots`],
      ['POST', '/api/v1/account/cli-passwords', { label: 'x' }],
      ['GET', '/api/v1/users'],
    ] as const) {
      const { status } = await push.call('robot', method, path, body);
      expect([method, path, status]).toEqual([method, path, 403]);
    }
  });

  test('are found in their own project alone', async () => {
    await push.call('dave', 'POST', '/api/v1/projects', { name: 'daves' });
    for (const [method, tail] of [
      ['PATCH', 'admin'],
      ['DELETE', 'admin'],
      ['POST', 'admin/secret'],
      ['DELETE', 'team+admin'],
      ['DELETE', '..%2Fteam%2Fadmin'],
      ['DELETE', '..%2F..%2Fusers%2Froot'],
    ] as const) {
      const body = method === 'PATCH' ? { disabled: true } : undefined;
      const path = `/api/v1/projects/daves/robots/${tail}`;
      expect([tail, (await push.call('dave', method, path, body)).status]).toEqual([tail, 404]);
    }
    expect((await push.call('robot', 'GET', TEAM)).status).toBe(200);
  });
});

describe('images', () => {
  test('are listed page by page, shown, and deleted by those who may', async () => {
    for (const tag of ['v1', 'v2', 'v3']) expect(await pushImage('bob', 'team/app', tag)).toBe(201);
    expect(await pushImage('bob', 'team/deep/base')).toBe(201);
    expect((await push.call('carol', 'GET', `${TEAM}/repositories`)).json).toEqual({
      repositories: [{ name: 'team/app' }, { name: 'team/deep/base' }],
    });
    const app = '/api/v1/repositories/team/app/-';
    const tags = (...names: string[]) => names.map((name) => ({ name, digest: DIGEST }));
    expect((await push.call('carol', 'GET', `${app}/tags?n=2`)).json).toEqual({
      tags: tags('v1', 'v2'),
      next: 'v2',
    });
    expect((await push.call('carol', 'GET', `${app}/tags?n=2&last=v2`)).json).toEqual({
      tags: tags('v3'),
    });
    const encoded = '/api/v1/repositories/team%2Fdeep%2Fbase/-/manifests';
    expect((await push.call('carol', 'GET', encoded)).json).toEqual({
      manifests: [{ digest: DIGEST }],
    });
    expect((await push.call('carol', 'GET', `${app}/manifests/v1`)).json).toEqual({
      digest: DIGEST,
      mediaType: MEDIA_TYPES.ociIndex,
      size: MANIFEST.length,
      kind: 'index',
      manifests: [],
    });
    for (const who of ['bob', 'carol']) {
      expect((await push.call(who, 'DELETE', `${app}/tags/v3`)).status).toBe(403);
    }
    expect((await push.call('alice', 'DELETE', `${app}/tags/v3`)).status).toBe(204);
    expect((await push.call('alice', 'DELETE', `${app}/tags/v3`)).status).toBe(404);
    expect((await push.call('robot', 'DELETE', `${app}/manifests/${DIGEST}`)).status).toBe(204);
    // Of a repository without content there is nothing left, here as in the distribution API.
    for (const path of ['manifests/v1', 'manifests', 'tags']) {
      expect((await push.call('alice', 'GET', `${app}/${path}`)).status).toBe(404);
    }
    expect(push.audited).toContainEqual(
      expect.objectContaining({
        action: 'delete-tag',
        result: 'denied',
        actor: { id: 'local:bob', name: 'bob' },
        repository: 'team/app',
        reference: 'v3',
      }),
    );
  });

  test('are kept by the rules of their project on this way as well', async () => {
    await push.call('dave', 'PATCH', '/api/v1/projects/daves', { immutableTags: ['v*'] });
    expect(await pushImage('dave', 'daves/app')).toBe(201);
    const app = '/api/v1/repositories/daves/app/-';
    for (const path of ['tags/v1', `manifests/${DIGEST}`]) {
      expect((await push.call('dave', 'DELETE', `${app}/${path}`)).status).toBe(403);
    }
    const subject = '/api/v1/users/alice';
    expect((await push.call('dave', 'PATCH', subject, { isAdmin: true })).status).toBe(403);
    expect(push.audited).toContainEqual(
      expect.objectContaining({ result: 'denied', subject: `PATCH ${subject}`, status: 403 }),
    );
    const end = await push.call('dave', 'DELETE', '/api/v1/projects/daves');
    expect([end.status, errorCode(end)]).toEqual([403, 'DENIED']);
  });
});

describe('users', () => {
  test('are made by administrators, and change the password before anything else', async () => {
    const user = { name: 'eve', password: 'first password' };
    expect((await push.call('root', 'POST', '/api/v1/users', user)).json).toMatchObject({
      name: 'eve',
      isAdmin: false,
      mustChange: true,
    });
    push.credentials.set('eve', 'eve:first password');
    expect((await push.call('eve', 'GET', '/api/v1/account')).status).toBe(401);
    const change = (password: string, newPassword: string) =>
      push.call('nobody', 'POST', '/api/v1/account/password', {
        username: 'eve',
        password,
        newPassword,
      });
    expect((await change('wrong password', 'second password')).status).toBe(401);
    expect((await change('first password', 'first password')).status).toBe(400);
    expect((await change('first password', 'x'.repeat(73))).status).toBe(400);
    expect((await change('first password', 'second password')).status).toBe(204);
    push.credentials.set('eve', 'eve:second password');
    expect((await push.call('eve', 'GET', '/api/v1/account')).json).toMatchObject({ name: 'eve' });
    expect(push.audited).toContainEqual(
      expect.objectContaining({
        action: 'change-right',
        result: 'done',
        subject: 'own password',
        actor: { id: 'local:eve', name: 'eve' },
      }),
    );
  });

  test('are told apart by nobody who guesses', async () => {
    const change = async (username: string): Promise<unknown> => {
      const { status, headers, body } = await push.call(
        'nobody',
        'POST',
        '/api/v1/account/password',
        { username, password: 'wrong password', newPassword: 'another password' },
      );
      return { status, headers: { ...headers, date: '' }, body: body.toString() };
    };
    expect(await change('bob')).toEqual(await change('nobody-of-this-name'));
  });

  test('are locked out at once, and no administrator locks himself out', async () => {
    expect((await push.call('root', 'PATCH', '/api/v1/users/eve', { disabled: true })).status).toBe(
      200,
    );
    expect((await push.call('eve', 'GET', '/api/v1/account')).status).toBe(401);
    for (const body of [{ disabled: true }, { isAdmin: false }]) {
      expect((await push.call('root', 'PATCH', '/api/v1/users/root', body)).status).toBe(403);
    }
    expect((await push.call('root', 'PATCH', '/api/v1/users/none', {})).status).toBe(404);
    const { json } = await push.call('root', 'GET', '/api/v1/users?n=2&last=carol');
    expect(json).toMatchObject({ users: [{ name: 'dave' }, { name: 'eve' }], next: 'eve' });
    expect(JSON.stringify(json)).not.toMatch(/hash/i);
  });
});

describe('people of a provider', () => {
  const id = 'oidc:https://login.example#f3a1';
  const path = `/api/v1/people/${encodeURIComponent(id)}`;
  const person = {
    kind: 'user',
    id,
    name: 'frank',
    groups: ['oidc:staff'],
    isAdmin: false,
  } as const;

  test('are shown to administrators, who lock them out and let them in', async () => {
    await push.people.noteSignIn(person, unending);
    const shown = async (): Promise<unknown> =>
      (await push.call('root', 'GET', '/api/v1/people')).json;
    expect(await shown()).toMatchObject({
      people: [{ id, name: 'frank', groups: ['oidc:staff'], isAdmin: false, disabled: false }],
    });
    expect((await push.call('root', 'PATCH', path, { disabled: true })).status).toBe(204);
    expect(await shown()).toMatchObject({ people: [{ id, disabled: true }] });
    expect(await push.people.find(id, unending)).toBeUndefined();
    expect((await push.call('root', 'PATCH', path, { disabled: false })).status).toBe(204);
    expect(await push.people.find(id, unending)).toMatchObject({ name: 'frank' });
    for (const wrong of ['local:bob', 'frank', 'robot:team+ci']) {
      const { status } = await push.call('root', 'PATCH', `/api/v1/people/${wrong}`, {
        disabled: true,
      });
      expect([wrong, status]).toEqual([wrong, 400]);
    }
  });
});

describe('a password for the command line', () => {
  test('opens images and changes no rights', async () => {
    const made = await push.call('bob', 'POST', '/api/v1/account/cli-passwords', {
      label: 'laptop',
    });
    expect(made.status).toBe(201);
    const { id, username, secret } = made.json as Record<string, string>;
    push.credentials.set('cli', `${username}:${secret}`);
    expect(await pushImage('cli', 'team/cli')).toBe(201);
    expect((await push.call('cli', 'GET', TEAM)).status).toBe(200);
    for (const [method, path, body] of [
      ['POST', '/api/v1/account/cli-passwords', { label: 'more' }],
      ['GET', '/api/v1/account/cli-passwords'],
      ['POST', '/api/v1/projects', { name: 'mine' }],
      ['PUT', `${TEAM}/members/local:dave`, { role: 'guest' }],
    ] as const) {
      expect((await push.call('cli', method, path, body)).status).toBe(403);
    }
    const path = `/api/v1/account/cli-passwords/${id}`;
    expect((await push.call('carol', 'DELETE', path)).status).toBe(404);
    const list = await push.call('bob', 'GET', '/api/v1/account/cli-passwords');
    expect(list.json).toMatchObject({ cliPasswords: [{ id, label: 'laptop' }] });
    expect((await push.call('bob', 'DELETE', path)).status).toBe(204);
  });
});

test('health is told to everybody, and what is wrong beside it to administrators', async () => {
  const nobody = await push.call('nobody', 'GET', '/api/v1/health');
  expect(nobody.json).toEqual({ role: 'push', isReady: true, state: 'ready' });
  const root = await push.call('root', 'GET', '/api/v1/health');
  expect(root.json).toMatchObject({ isReady: true, degraded: [] });
});

test('no secret and no hash is in the record of who did what', () => {
  const record = JSON.stringify(push.audited);
  expect(record).not.toContain(PASSWORD);
  expect(record).not.toMatch(/twp_|\$2b\$|first password|second password/);
});
