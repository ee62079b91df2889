import { z } from 'zod';

import type { Identity } from '../../auth/identity.ts';
import { HEADERS } from '../../http/headers.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import type { CliPasswordRecord, CliPasswords } from '../../management/cli-passwords.ts';
import { RegistryError } from '../../oci/errors.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import {
  makeCliPassword,
  NEW_CLI_PASSWORD,
  requireSomebody,
} from '../endpoints/account-endpoints.ts';
import { formToken } from '../session-cookies.ts';
import type { WebSignIn } from '../web-sign-in.ts';
import { type Html, html } from './html.ts';
import { PAGE_HEADERS, PAGE_STYLE, pageReply, problemText, sendTo } from './page-reply.ts';

const HOME = '/auth/';
const FORM_TOKEN = z.string().exactOptional();

export interface AccountPagesDependencies {
  readonly web: WebSignIn;
  readonly hasOidc: boolean;
  /** People of this registry change their passwords on a page beside. */
  readonly changesPasswords: boolean;
  readonly cliPasswords: CliPasswords;
  readonly clock: Clock;
}

/** `/auth/`: where people sign in with a browser and make passwords for the command line. */
export function accountPages(deps: AccountPagesDependencies): Endpoint[] {
  const { web, cliPasswords } = deps;
  return [
    endpoint({
      method: 'GET',
      path: '/auth/page.css',
      id: 'pageStyle',
      summary: 'How the pages look',
      access: 'open',
      isPage: true,
      status: 200,
      answer: () =>
        Promise.resolve({
          headers: { ...PAGE_HEADERS, [HEADERS.contentType]: 'text/css; charset=utf-8' },
          text: PAGE_STYLE,
        }),
    }),
    endpoint({
      method: 'GET',
      path: HOME,
      id: 'accountPage',
      summary: 'Sign-in, or the passwords for the command line',
      access: 'reader',
      isPage: true,
      status: 200,
      answer: async ({ caller, signal }) => {
        const token = caller.kind === 'identity' ? caller.sessionToken : undefined;
        if (caller.kind !== 'identity' || token === undefined) return signInPage(deps, 200);
        const all = await cliPasswords.list(caller.identity.id, signal);
        return pageReply(
          'Passwords for the command line',
          passwordsPage(caller.identity, all, token),
        );
      },
    }),
    // What the address line has after a form was answered, when somebody asks for it once more.
    ...['/auth', '/auth/sign-in', '/auth/passwords'].map(toHome),
    ...(web.takesPasswords ? [signInForm(deps)] : []),
    endpoint({
      method: 'POST',
      path: '/auth/sign-out',
      id: 'signOutForm',
      summary: 'End the session',
      access: 'signed-in',
      isPage: true,
      body: z.object({ formToken: FORM_TOKEN }),
      status: 303,
      audit: { action: 'sign-out', about: () => ({}) },
      answer: async ({ cookies, signal }) => sendTo(HOME, [await web.end(cookies, signal)]),
    }),
    ...passwordForms(deps),
  ];
}

const toHome = (path: string): Endpoint =>
  endpoint({
    method: 'GET',
    path,
    id: `homeOf${path}`,
    summary: 'To the page',
    access: 'open',
    isPage: true,
    status: 303,
    answer: () => Promise.resolve(sendTo(HOME, [])),
  });

const signInForm = (deps: AccountPagesDependencies): Endpoint =>
  endpoint({
    method: 'POST',
    path: '/auth/sign-in',
    id: 'signInForm',
    summary: 'Begin a session by a user name and a password',
    access: 'open',
    isPage: true,
    isOwnPageOnly: true,
    body: z.object({ username: z.string().max(256), password: z.string().max(1024) }),
    status: 303,
    answer: async ({ body, origin, cookies, signal }) => {
      try {
        const { setCookie } = await deps.web.byPassword(body, origin, cookies, signal);
        return sendTo(HOME, [setCookie]);
      } catch (error) {
        if (!(error instanceof RegistryError) || error.status >= 500) throw error;
        const { username } = body;
        return signInPage(deps, error.status, { message: error.message, username });
      }
    },
  });

function passwordForms({ cliPasswords, clock }: AccountPagesDependencies): Endpoint[] {
  return [
    endpoint({
      method: 'POST',
      path: '/auth/passwords',
      id: 'makePasswordForm',
      summary: 'Make a password for the command line',
      access: 'person',
      isPage: true,
      body: NEW_CLI_PASSWORD.extend({ formToken: FORM_TOKEN }),
      status: 200,
      audit: {
        action: 'make-secret',
        about: () => ({ subject: 'password for the command line' }),
      },
      answer: async ({ caller, body, origin, signal }) => {
        const owner = requireSomebody(caller);
        const { secret } = await makeCliPassword(cliPasswords, clock, owner, body, signal);
        const host = origin.baseUrl.replace(/^https?:\/\//, '');
        return pageReply(
          'Your new password',
          html`<p>It is shown this once:</p>
            <p><code>${secret}</code></p>
            <p>
              Use it with your user name:
              <code>docker login -u ${shellWord(owner.name)} ${host}</code>
            </p>
            <p><a class="button" href="/auth/">I have kept it</a></p>`,
        );
      },
    }),
    endpoint({
      method: 'POST',
      path: '/auth/passwords/revoke',
      id: 'revokePasswordForm',
      summary: 'Revoke a password for the command line',
      access: 'person',
      isPage: true,
      body: z.object({ id: z.string().max(64), formToken: FORM_TOKEN }),
      status: 303,
      audit: { action: 'revoke-secret', about: ({ body }) => ({ subject: body.id }) },
      answer: async ({ caller, body, signal }) => {
        await cliPasswords.revoke(requireSomebody(caller).id, body.id, signal);
        return sendTo(HOME, []);
      },
    }),
  ];
}

/** As a shell takes it for one word. */
const shellWord = (text: string): string =>
  /^[\w.@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

function signInPage(
  { web, hasOidc, changesPasswords }: AccountPagesDependencies,
  status: number,
  problem?: { readonly message: string; readonly username: string },
): ReturnType<typeof pageReply> {
  return pageReply(
    'Sign in',
    html`${problem ? problemText(problem.message) : []}
    ${hasOidc ? html`<p><a class="button" href="/auth/oidc/login">Sign in with your organisation</a></p>` : []}
    ${
      web.takesPasswords
        ? html`<form method="post" action="/auth/sign-in">
            <label
              >User name
              <input
                name="username"
                value="${problem?.username ?? ''}"
                autocomplete="username"
                autocapitalize="none"
                spellcheck="false"
                required
            /></label>
            <label
              >Password
              <input name="password" type="password" autocomplete="current-password" required
            /></label>
            <button>Sign in</button>
          </form>`
        : []
    }
    ${
      web.takesPasswords && changesPasswords
        ? html`<p><a href="/auth/password">Change your password, or a one-time password</a></p>`
        : []
    }`,
    status,
  );
}

function passwordsPage(
  { name }: Identity,
  all: readonly CliPasswordRecord[],
  sessionToken: string,
): Html {
  const token = html`<input type="hidden" name="formToken" value="${formToken(sessionToken)}" />`;
  const rows = all.map(
    ({ id, label, createdAt, expiresAt }) =>
      html`<tr>
        <td>${label}</td>
        <td>${createdAt.slice(0, 10)}</td>
        <td>${expiresAt.slice(0, 10)}</td>
        <td>
          <form method="post" action="/auth/passwords/revoke">
            ${token}<input type="hidden" name="id" value="${id}" /><button
              aria-label="Revoke ${label}"
            >
              Revoke
            </button>
          </form>
        </td>
      </tr> `,
  );
  return html`<p>Signed in as ${name}.</p>
    <p>
      Programs such as docker sign in with your user name and one of these, so that they never have
      the password you sign in with here.
    </p>
    ${rows.length === 0 ? html`<p>You have none yet.</p>` : passwordTable(rows)}
    <form method="post" action="/auth/passwords">
      ${token}
      <label>For <input name="label" required maxlength="100" placeholder="my laptop" /></label>
      <label>Days <input name="days" type="number" min="1" max="365" value="90" /></label>
      <button>Make a password</button>
    </form>
    <form method="post" action="/auth/sign-out">${token}<button>Sign out</button></form>`;
}

const passwordTable = (rows: readonly Html[]): Html =>
  html`<table>
    <thead>
      <tr>
        <th scope="col">For</th>
        <th scope="col">Made</th>
        <th scope="col">Ends</th>
        <td></td>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
