import { expect } from '@jest/globals';

import type { TestRequest } from '../../../shared/http/testing/http-client.ts';
import { digestOf } from '../../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../../shared/oci/media-types.ts';
import type { Canaries } from './canaries.ts';
import { as, type Conversation, form } from './conversation.ts';

export const BLOB = Buffer.from('a blob');
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex,
  manifests: [],
});
const PUT_MANIFEST: TestRequest = {
  method: 'PUT',
  headers: { 'content-type': MEDIA_TYPES.ociIndex },
  body: MANIFEST,
};

/** Images are pushed, pulled and deleted by people and programs of every kind, by the right credentials. */
export async function useImages(
  talk: Conversation,
  people: Readonly<Record<string, string>>,
): Promise<void> {
  for (const credentials of Object.values(people)) {
    expect((await talk.ask('push', '/v2/', as(credentials))).status).toBe(200);
    const scope = 'repository:team/app:pull,push,delete';
    const bearer = await talk.token('push', scope, credentials);
    await talk.ask('push', '/v2/team/app/manifests/v1', as(bearer, PUT_MANIFEST));
    await talk.ask('push', '/v2/team/app/manifests/v1', as(bearer));
    await talk.ask('push', '/v2/other/app/manifests/v1', as(bearer));
    const upload = `/v2/team/app/blobs/uploads/?digest=${digestOf(BLOB)}`;
    await talk.ask('push', upload, as(bearer, { method: 'POST', body: BLOB }));
    await talk.ask('push', '/v2/_catalog', as(credentials));
    await talk.ask('push', '/v2/team/app/manifests/v1', as(bearer, { method: 'DELETE' }));
    const ofMirror = await talk.token('mirror', 'repository:local/team/app:pull', credentials);
    await talk.ask('mirror', '/v2/local/team/app/tags/list', as(ofMirror));
    await talk.ask('mirror', '/v2/team/app/manifests/v1', as(ofMirror, PUT_MANIFEST));
  }
}

/** What people and programs get wrong, and what attackers try. */
export async function makeMistakes(talk: Conversation, canaries: Canaries): Promise<void> {
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
      await talk.ask(role, '/v2/team/app/manifests/v1', as(attempt));
      await talk.ask(role, '/auth/token', as(attempt));
    }
    const [password, refresh] = [wrong('a password in a form'), wrong('a false refresh token')];
    const login = { grant_type: 'password', username: 'root', password };
    await talk.ask(role, '/auth/token', form(login));
    const renewal = { grant_type: 'refresh_token', refresh_token: refresh };
    await talk.ask(role, '/auth/token', form(renewal));
    await talk.ask(role, '/auth/token', form({ grant_type: wrong('a secret as grant type') }));
    await talk.ask(role, `/auth/token?password=${wrong('a password in a query')}`);
    await talk.ask(role, `/v2/team/app/tags/list?token=${wrong('a token in a query')}`);
    await talk.ask(role, '/v2/team/app/tags/list', {
      headers: { cookie: `session=${wrong('a cookie')}`, 'x-api-key': wrong('a key') },
    });
  }
}
