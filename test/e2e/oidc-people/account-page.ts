import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { BrowserContext, Page } from 'puppeteer-core';

import { describeWithTools } from '../../support/describe-with-tools.ts';
import { freePort } from '../../support/free-port.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../../support/registry-process.ts';
import { startBrowser, type TestBrowser } from '../../support/start-browser.ts';
import { type OidcProvider, startOidcProvider } from '../../support/start-oidc-provider.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import { twinport } from '../../support/twinport-command.ts';

const NASTY = '<img src=x onerror="alert(1)"><b>Mallory</b>';
const PASSWORD = 'correct horse battery';

/** What somebody would do who could put markup into the page; answers by which rules of the page he could not. */
const INTRUSION = `(async () => {
  const seen = [];
  document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective));
  const add = (tag, fields) => document.body.append(Object.assign(document.createElement(tag), fields));
  add('script', { textContent: 'document.title = "taken over"' });
  add('script', { src: '/auth/page.css' });
  add('img', { src: '/auth/page.css' });
  add('iframe', { src: '/auth/' });
  add('object', { data: '/auth/' });
  const button = document.createElement('button');
  button.setAttribute('onclick', 'document.title = "taken over"');
  button.click();
  await fetch('/api/v1/account').catch(() => undefined);
  const until = performance.now() + 10000;
  while (seen.length < 7 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return seen.sort();
})()`;
const OUTLINE = 'getComputedStyle(document.activeElement).outlineStyle';

/** What people meet who come to the page with a browser. */
export function testAccountPage(): void {
  describeWithTools(['chromium'], 'the page for people, in Chromium', () => {
    const servers = new OwnedServers();
    let provider: OidcProvider;
    let push: TwinportProcess;
    let chromium: TestBrowser;
    let context: BrowserContext;
    let page: Page;
    /** What people who look find among the browser's messages, and what would have popped up. */
    let complaints: string[];

    beforeAll(async () => {
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      provider = await startOidcProvider(`${url}/auth/oidc/callback`);
      const storage = { dataDir: makeTempFolder('data') };
      push = await servers.own(
        startTwinport({
          role: 'push',
          port,
          storage,
          env: {
            AUTH_MODE: 'token',
            PUSH_PUBLIC_URL: url,
            AUTH_OIDC_ISSUER: provider.issuer,
            AUTH_OIDC_CLIENT_ID: provider.clientId,
            AUTH_OIDC_CLIENT_SECRET: provider.clientSecret,
            AUTH_OIDC_SCOPES: 'profile groups',
          },
        }),
      );
      const passwordFile = path.join(makeTempFolder('password'), 'password');
      await writeFile(passwordFile, `${PASSWORD}\n`);
      const added = await twinport(`user add carol --password-file ${passwordFile}`, storage, {
        AUTH_MODE: 'token',
      });
      expect(added).toMatchObject({ code: 0 });
      chromium = await servers.own(startBrowser());
    });
    afterAll(async () => {
      await servers.stopAll();
      await provider.close();
    });

    beforeEach(async () => {
      provider.account = { sub: 'm1', preferred_username: NASTY, groups: [] };
      context = await chromium.browser.createBrowserContext();
      page = await context.newPage();
      complaints = [];
      page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('dialog', (dialog) => {
        complaints.push(`dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
    });
    afterEach(() => context.close());

    const open = (path = '/auth/') => page.goto(`${push.url}${path}`);
    /** What the first that fits the selector says; empty when there is none. */
    const textOf = async (selector: string): Promise<string> =>
      String(await page.evaluate(`document.querySelector('${selector}')?.innerText ?? ''`));
    const heading = (): Promise<string> => textOf('h1');
    const text = (): Promise<string> => textOf('main');
    const click = async (selector: string): Promise<void> => {
      await Promise.all([page.waitForNavigation(), page.click(selector)]);
    };
    /** The accessible name and role of what has the focus. */
    const focused = async (): Promise<string> => {
      const root = await page.accessibility.snapshot();
      const found = root === null ? [] : [root];
      for (const node of found) {
        if (node.focused && node.role !== 'RootWebArea') return `${node.role}: ${node.name ?? ''}`;
        found.push(...(node.children ?? []));
      }
      return 'nothing';
    };
    const signInAtProvider = async (): Promise<void> => {
      await open();
      await click('a[href="/auth/oidc/login"]');
      expect(new URL(page.url()).pathname).toBe('/auth/');
    };

    test('signs people in at their provider, makes and revokes passwords, and signs them out', async () => {
      await open();
      expect(await heading()).toBe('Sign in');
      await click('a[href="/auth/oidc/login"]');
      expect(page.url()).toBe(`${push.url}/auth/`);
      expect(await text()).toContain('You have none yet.');

      await page.type('input[name=label]', 'my laptop');
      await click('form[action="/auth/passwords"] button');
      expect(await heading()).toBe('Your new password');
      const secret = await textOf('code');
      expect(secret).toMatch(/^twp_/);
      const authorization = `Basic ${Buffer.from(`${NASTY.toLowerCase()}:${secret}`).toString('base64')}`;
      const asked = await fetch(`${push.url}/api/v1/account`, { headers: { authorization } });
      expect(asked.status).toBe(200);

      await click('a.button');
      expect(await text()).not.toContain('twp_');
      expect(await page.$$('tbody tr')).toHaveLength(1);
      await click('button[aria-label="Revoke my laptop"]');
      expect(await text()).toContain('You have none yet.');

      await click('form[action="/auth/sign-out"] button');
      expect(await heading()).toBe('Sign in');
      await page.goBack();
      expect(await heading()).toBe('Sign in');
      expect(complaints).toEqual([]);
    });

    test('shows names and labels with markup in them as text', async () => {
      await signInAtProvider();
      expect(await text()).toContain(`Signed in as ${NASTY.toLowerCase()}.`);
      await page.type('input[name=label]', NASTY);
      await click('form[action="/auth/passwords"] button');
      // A shell takes the name for one word.
      const command = await textOf('p:nth-of-type(3) code');
      expect(command).toBe(`docker login -u '${NASTY.toLowerCase()}' ${push.host}`);
      await click('a.button');
      expect(await textOf('tbody td')).toBe(NASTY);
      expect(await page.$$('main img, main b')).toEqual([]);
      expect(complaints).toEqual([]);
    });

    test('runs no script and loads nothing, whoever puts it there', async () => {
      await signInAtProvider();
      const violations = await page.evaluate(INTRUSION);
      expect(violations).toEqual([
        'connect-src',
        'frame-src',
        'img-src',
        'object-src',
        'script-src-attr',
        'script-src-elem',
        'script-src-elem',
      ]);
      expect(await page.title()).not.toBe('taken over');
    });

    test('is shown in no frame of another site', async () => {
      const other = createServer((_request, response) => {
        response.setHeader('content-type', 'text/html');
        response.end(`<!doctype html><iframe src="${push.url}/auth/"></iframe>`);
      });
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
      try {
        const { port } = other.address() as AddressInfo;
        await page.goto(`http://127.0.0.1:${port}/`);
        const [, frame] = page.frames();
        expect(frame?.url()).toBe('chrome-error://chromewebdata/');
        expect(complaints.join()).toMatch(/frame-ancestors/);
      } finally {
        other.closeAllConnections();
        other.close();
      }
    });

    test('is used by the keyboard alone: everything has a name, and the focus shows', async () => {
      await open();
      const visited: string[] = [];
      for (let step = 0; step < 5; step += 1) {
        await page.keyboard.press('Tab');
        visited.push(await focused());
        const outline = await page.evaluate(OUTLINE);
        expect([visited.at(-1), outline]).not.toEqual([visited.at(-1), 'none']);
      }
      expect(visited).toEqual([
        'link: Sign in with your organisation',
        'textbox: User name',
        'textbox: Password',
        'button: Sign in',
        'link: Change your password, or a one-time password',
      ]);

      await page.focus('input[name=username]');
      await page.keyboard.type('carol');
      await page.keyboard.press('Tab');
      await page.keyboard.type('not her password');
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      expect(await textOf('[role=alert]')).toBe(
        'That did not succeed: the user name or the password is not right.',
      );
      // Her name is still there.
      await page.focus('input[name=password]');
      await page.keyboard.type(PASSWORD);
      await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
      expect(await text()).toContain('Signed in as carol.');

      const named: string[] = [];
      for (let step = 0; step < 4; step += 1) {
        await page.keyboard.press('Tab');
        named.push(await focused());
      }
      expect(named).toEqual([
        'textbox: For',
        'spinbutton: Days',
        'button: Make a password',
        'button: Sign out',
      ]);
    });

    test('tells people in words what went wrong, and where to go on', async () => {
      await signInAtProvider();
      const elsewhere = await context.newPage();
      await elsewhere.goto(`${push.url}/auth/`);
      await Promise.all([
        elsewhere.waitForNavigation(),
        elsewhere.click('form[action="/auth/sign-out"] button'),
      ]);
      await elsewhere.close();
      await page.bringToFront();
      await page.type('input[name=label]', 'too late');
      await click('form[action="/auth/passwords"] button');
      expect(await heading()).toBe('You are signed out');
      await click('a.button');
      expect(await heading()).toBe('Sign in');
      for (const path of ['/auth', '/auth/sign-in', '/auth/passwords']) {
        await open(path);
        expect([path, page.url()]).toEqual([path, `${push.url}/auth/`]);
      }
      await open('/auth/oidc/callback?error=access_denied');
      expect(await text()).toContain('The sign-in did not succeed.');
    });
  });
}
