import { z } from 'zod';

import type { PasswordChange } from '../../management/password-change.ts';
import { RegistryError } from '../../oci/errors.ts';
import { type Endpoint, endpoint, type EndpointReply } from '../endpoint.ts';
import { html } from './html.ts';
import { pageReply, problemText } from './page-reply.ts';

const PATH = '/auth/password';

/** `/auth/password`: people of this registry change their passwords, above all one that somebody else has made. */
export const passwordPages = (passwordChange: Pick<PasswordChange, 'change'>): Endpoint[] => [
  endpoint({
    method: 'GET',
    path: PATH,
    id: 'passwordPage',
    summary: 'The form that changes a password',
    access: 'open',
    isPage: true,
    status: 200,
    answer: () => Promise.resolve(passwordForm()),
  }),
  endpoint({
    method: 'POST',
    path: PATH,
    id: 'changePasswordForm',
    summary: 'Change the password of a user, who proves by the old one who he is',
    access: 'open',
    isPage: true,
    isOwnPageOnly: true,
    body: z.object({
      username: z.string().max(256),
      password: z.string().max(1024),
      newPassword: z.string().max(1024),
    }),
    status: 200,
    audit: { action: 'change-right', about: () => ({ subject: 'own password' }) },
    answer: async ({ body, origin, signal }) => {
      try {
        const actor = await passwordChange.change(body, body.newPassword, origin, signal);
        return { ...CHANGED, actor };
      } catch (error) {
        if (!(error instanceof RegistryError) || error.status >= 500) throw error;
        const { status, message } = error;
        return passwordForm(status, {
          message: status === 401 ? 'the user name or the password is not right' : message,
          username: body.username,
        });
      }
    },
  }),
];

const CHANGED = pageReply(
  'Your password is changed',
  html`<p><a class="button" href="/auth/">Sign in</a></p>`,
);

function passwordForm(
  status = 200,
  problem?: { readonly message: string; readonly username: string },
): EndpointReply {
  return pageReply(
    'Change your password',
    html`${problem ? problemText(problem.message) : []}
      <form method="post" action="${PATH}">
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
          >Password, or the one-time password
          <input name="password" type="password" autocomplete="current-password" required
        /></label>
        <label
          >New password
          <input
            name="newPassword"
            type="password"
            autocomplete="new-password"
            minlength="8"
            required
        /></label>
        <button>Change it</button>
      </form>
      <p><a href="/auth/">Back</a></p>`,
    status,
  );
}
