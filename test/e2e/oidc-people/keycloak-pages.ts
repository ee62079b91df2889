import { expect, test } from '@jest/globals';

import { loginForm } from '../../support/start-keycloak.ts';
import { walkToCallback } from '../../support/walk-to-callback.ts';
import type { PeopleLab } from './people-lab.ts';

/** What Keycloak's own pages and settings decide. */
export function testKeycloakPages(lab: PeopleLab): void {
  const callback = (): string => `${lab.parts.push.url}/auth/oidc/callback`;

  test('with a wrong password stay at the login page of Keycloak', async () => {
    const { browser, location } = await lab.leave();
    const walk = walkToCallback(location, callback(), loginForm('alice', 'not-her-password'));
    await expect(walk).rejects.toThrow('Invalid username or password');
    expect((await browser.get('/api/v1/account')).status).toBe(401);
  });

  test('come back with an error when the client that has to use PKCE did not, and are refused', async () => {
    const { browser, location } = await lab.leave();
    const asked = new URL(location);
    expect(asked.searchParams.get('code_challenge_method')).toBe('S256');
    for (const name of ['code_challenge', 'code_challenge_method']) asked.searchParams.delete(name);
    const back = await walkToCallback(asked.href, callback(), loginForm('alice'));
    expect(back.searchParams.get('error')).toBe('invalid_request');
    expect((await browser.get(`${back.pathname}${back.search}`)).status).toBe(401);
  });

  test('come back to the browser that left, and once', async () => {
    const [mine, other] = [await lab.leave(), await lab.leave()];
    const back = await lab.parts.provider.visit(mine.location, 'alice');
    const path = `${back.pathname}${back.search}`;
    expect((await other.browser.get(path)).status).toBe(401);
    expect((await mine.browser.get(path)).status).toBe(303);
    expect((await mine.browser.get(path)).status).toBe(401);
    expect((await mine.browser.get('/api/v1/account')).status).toBe(200);
  });
}
