import { expect, test } from '@jest/globals';

import type { PeopleLab, PersonName } from './people-lab.ts';

const TEAM = '/api/v1/projects/team';

/** What holds for the people of any provider. The tests build on each other. */
export function testPeople(lab: PeopleLab): void {
  const secretOn = (page: string): string => /<code>(twp_\w[\w-]*)<\/code>/.exec(page)?.[1] ?? '';
  const login = (name: PersonName, secret: string, host: string): Promise<string> =>
    lab.parts.daemon.succeed('login', `--username=${name}`, `--password=${secret}`, host);

  test('sign in with a browser, make a password there, and push with docker what their groups may', async () => {
    const { daemon, mirror, provider, push } = lab.parts;
    const ada = await lab.signIn('ada');
    expect((await ada.call('POST', '/api/v1/projects', { name: 'team' })).status).toBe(201);
    const group = `${TEAM}/groups/oidc:developers`;
    expect((await ada.call('PUT', group, { role: 'developer' })).status).toBe(204);

    const alice = await lab.signIn('alice');
    expect((await alice.get('/auth/')).text).toContain('Signed in as alice.');
    const made = await alice.submit('/auth/passwords', { label: 'laptop', days: '1' });
    const secret = secretOn(made.text);
    expect(secret).not.toBe('');
    expect(made.text).toContain(`docker login -u alice ${push.host}`);

    expect(await login('alice', secret, push.host)).toContain('Login Succeeded');
    await daemon.succeed('push', lab.image('team'));
    await daemon.succeed('rmi', lab.image('team'));
    await daemon.succeed('pull', lab.image('team'));

    const atMirror = `${mirror.host}/local/team/app:1`;
    expect((await daemon.docker('pull', atMirror)).code).not.toBe(0);
    await login('alice', secret, mirror.host);
    await daemon.succeed('pull', atMirror);

    // A group that somebody lost at the provider is gone with the next sign-in.
    await provider.leaveGroups('alice');
    await lab.signIn('alice');
    const { text } = await alice.get('/auth/');
    const id = /name="id" value="([0-9a-f]{16})"/.exec(text)?.[1] ?? '';
    expect((await alice.get('/api/v1/account')).text).toContain('"groups":[]');

    expect((await alice.submit('/auth/passwords/revoke', { id })).status).toBe(303);
    await daemon.succeed('logout', push.host);
    const stranger = await daemon.docker('push', lab.image('team'));
    expect(stranger.stderr + stranger.stdout).toMatch(/denied: requested access to the resource/);
  });

  test('without the group log in with docker, and may neither push nor pull', async () => {
    const { daemon, push } = lab.parts;
    const eve = await lab.signIn('eve');
    expect(JSON.parse((await eve.get('/api/v1/account')).text)).toMatchObject({
      isAdmin: false,
      groups: ['oidc:/guests/registry-admins'],
    });
    const made = await eve.call('POST', '/api/v1/account/cli-passwords', { label: 'laptop' });
    expect(made.status).toBe(201);
    const { username, secret } = JSON.parse(made.text) as { username: string; secret: string };
    expect(username).toBe('eve');
    expect((await eve.get(TEAM)).status).toBe(404);

    expect(await login('eve', secret, push.host)).toContain('Login Succeeded');
    const pushed = await daemon.docker('push', lab.image('team'));
    expect(pushed.stderr).toMatch(/^denied: requested access to the resource is denied$/m);
    const pulled = await daemon.docker('pull', lab.image('team'));
    expect(pulled.stderr).toMatch(/pull access denied for .+, repository does not exist or may/);
    await daemon.succeed('logout', push.host);
  });

  test('sign out of one browser, and stay signed in with another', async () => {
    const [first, second] = [await lab.signIn('alice'), await lab.signIn('alice')];
    expect((await first.submit('/auth/sign-out', {})).status).toBe(303);
    expect((await first.get('/api/v1/account')).status).toBe(401);
    expect((await second.get('/api/v1/account')).status).toBe(200);
  });

  test('are locked out by an administrator, at the web at once', async () => {
    const [ada, alice] = [await lab.signIn('ada'), await lab.signIn('alice')];
    const id = lab.idOf('alice');
    const person = `/api/v1/people/${encodeURIComponent(id)}`;
    expect((await alice.get('/api/v1/account')).text).toContain(id);
    expect((await alice.call('PATCH', person, { disabled: true })).status).toBe(403);
    expect((await ada.call('PATCH', person, { disabled: true })).status).toBe(204);
    expect((await alice.get('/api/v1/account')).status).toBe(401);
    const { browser, location } = await lab.leave();
    const back = await lab.parts.provider.visit(location, 'alice');
    expect(await browser.get(`${back.pathname}${back.search}`)).toMatchObject({ status: 403 });
    expect((await ada.call('PATCH', person, { disabled: false })).status).toBe(204);
  });

  test('leave no secret in the log', () => {
    const { provider, push, mirror } = lab.parts;
    expect(push.logs()).toContain(provider.issuer);
    const logs = push.logs() + mirror.logs();
    expect(logs).not.toContain(provider.clientSecret);
    expect(logs).not.toMatch(/twp_[0-9a-f]{32}|code=/);
  });
}
