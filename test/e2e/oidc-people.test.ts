import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { freePort } from '../support/free-port.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { type PageVisitor, startPageVisitor } from '../support/page-visitor.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { DOCKER_TOOLS, type DockerDaemon, startDockerd } from '../support/start-dockerd.ts';
import { type OidcProvider, startOidcProvider } from '../support/start-oidc-provider.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const ADA = { sub: 'a1', preferred_username: 'Ada', groups: ['/registry-admins'] };
const ALICE = { sub: 'f3a1', preferred_username: 'Alice', groups: ['developers'] };
const TEAM = '/api/v1/projects/team';

describeWithTools(DOCKER_TOOLS['20'], 'people of an OpenID Connect provider', () => {
  const servers = new OwnedServers();
  let provider: OidcProvider;
  let push: TwinportProcess;
  let mirror: TwinportProcess;
  let daemon: DockerDaemon;

  beforeAll(async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    provider = await startOidcProvider(`${url}/auth/oidc/callback`);
    const common = {
      storage: { dataDir: makeTempFolder('data') },
      env: {
        PUSH_PUBLIC_URL: url,
        AUTH_MODE: 'token',
        AUTH_OIDC_ISSUER: provider.issuer,
        AUTH_OIDC_CLIENT_ID: provider.clientId,
        AUTH_OIDC_CLIENT_SECRET: provider.clientSecret,
        AUTH_OIDC_SCOPES: 'profile groups',
        AUTH_OIDC_ADMIN_GROUP: 'registry-admins',
      },
    };
    push = await servers.own(startTwinport({ ...common, role: 'push', port }));
    mirror = await servers.own(startTwinport({ ...common, role: 'mirror' }));
    daemon = await servers.own(startDockerd());
    const context = makeTempFolder('context');
    await writeFile(path.join(context, 'Dockerfile'), 'FROM scratch\nLABEL a=b\nCOPY . /\n');
    await daemon.succeed('build', '--tag', image('team'), context);
  });
  afterAll(async () => {
    await servers.stopAll();
    await provider.close();
  });

  const image = (project: string): string => `${push.host}/${project}/app:1`;
  /** To the provider, past its pages, and back. */
  async function signIn(person: OidcProvider['account']): Promise<PageVisitor> {
    const browser = startPageVisitor(push.url);
    expect((await browser.get('/auth/')).text).toContain('href="/auth/oidc/login"');
    provider.account = person;
    const { location = '' } = await browser.get('/auth/oidc/login');
    const back = await provider.visit(location);
    const arrived = await browser.get(`${back.pathname}${back.search}`);
    expect([arrived.status, arrived.location]).toEqual([303, '/auth/']);
    return browser;
  }
  const secretOn = (page: string): string => /<code>(twp_\w[\w-]*)<\/code>/.exec(page)?.[1] ?? '';

  test('sign in with a browser, make a password there, and push with docker what their groups may', async () => {
    const ada = await signIn(ADA);
    expect((await ada.call('POST', '/api/v1/projects', { name: 'team' })).status).toBe(201);
    const group = `${TEAM}/groups/oidc:developers`;
    expect((await ada.call('PUT', group, { role: 'developer' })).status).toBe(204);

    const alice = await signIn(ALICE);
    expect((await alice.get('/auth/')).text).toContain('Signed in as alice.');
    const made = await alice.submit('/auth/passwords', { label: 'laptop', days: '1' });
    const secret = secretOn(made.text);
    expect(secret).not.toBe('');
    expect(made.text).toContain(`docker login -u alice ${push.host}`);

    const login = ['login', '--username=alice', `--password=${secret}`, push.host];
    expect(await daemon.succeed(...login)).toContain('Login Succeeded');
    await daemon.succeed('push', image('team'));
    await daemon.succeed('rmi', image('team'));
    await daemon.succeed('pull', image('team'));

    const atMirror = `${mirror.host}/local/team/app:1`;
    expect((await daemon.docker('pull', atMirror)).code).not.toBe(0);
    await daemon.succeed('login', '--username=alice', `--password=${secret}`, mirror.host);
    await daemon.succeed('pull', atMirror);

    // A group that somebody lost at the provider is gone with the next sign-in.
    await signIn({ ...ALICE, groups: [] });
    const { text } = await alice.get('/auth/');
    const id = /name="id" value="([0-9a-f]{16})"/.exec(text)?.[1] ?? '';
    expect((await alice.get('/api/v1/account')).text).toContain('"groups":[]');

    expect((await alice.submit('/auth/passwords/revoke', { id })).status).toBe(303);
    await daemon.succeed('logout', push.host);
    const stranger = await daemon.docker('push', image('team'));
    expect(stranger.stderr + stranger.stdout).toMatch(/denied: requested access to the resource/);
  });

  test('are locked out by an administrator, at the web at once', async () => {
    const [ada, alice] = [await signIn(ADA), await signIn(ALICE)];
    const id = `oidc:${provider.issuer}#${ALICE.sub}`;
    const person = `/api/v1/people/${encodeURIComponent(id)}`;
    expect((await alice.get('/api/v1/account')).text).toContain(id);
    expect((await alice.call('PATCH', person, { disabled: true })).status).toBe(403);
    expect((await ada.call('PATCH', person, { disabled: true })).status).toBe(204);
    expect((await alice.get('/api/v1/account')).status).toBe(401);
    expect((await ada.call('PATCH', person, { disabled: false })).status).toBe(204);
  });

  test('leave no secret in the log', () => {
    expect(push.logs()).toContain(provider.issuer);
    const logs = push.logs() + mirror.logs();
    expect(logs).not.toContain(provider.clientSecret);
    expect(logs).not.toMatch(/twp_[0-9a-f]{32}|code=/);
  });
});
