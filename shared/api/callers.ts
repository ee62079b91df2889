import type { IncomingMessage } from 'node:http';

import { parseAuthorization } from '../auth/authorization-header.ts';
import type { Identity } from '../auth/identity.ts';
import type { Admission } from '../http/admission.ts';
import { requireOwnPage } from '../http/own-page.ts';
import { parseCliPassword } from '../management/cli-passwords.ts';
import type { Sessions } from '../management/sessions.ts';
import { registryError } from '../oci/errors.ts';
import type { Caller } from './caller.ts';
import type { AccessClass } from './endpoint.ts';
import { type PublicOrigin, SessionCookies } from './session-cookies.ts';

/** The name of the cookie that has the token of a session. */
export const SESSION_COOKIE = 'twinport-session';

/** People who signed in with a browser. */
export interface WebSessions {
  readonly sessions: Sessions;
  readonly pages: PublicOrigin;
  /** Somebody as he is today; undefined when he is locked out or gone. `stamp` changes with his password. */
  readonly findPerson: (
    id: string,
    signal: AbortSignal,
  ) => Promise<{ readonly identity: Identity; readonly stamp: string } | undefined>;
}

interface CallersOptions {
  /** False where everybody may do everything. */
  readonly hasIdentities: boolean;
  readonly web: WebSessions | undefined;
}

/** Finds out who calls: by credentials in the request or, without any, by a session. */
export class Callers {
  readonly #hasIdentities: boolean;
  readonly #web: WebSessions | undefined;
  readonly #cookies: SessionCookies | undefined;

  constructor({ hasIdentities, web }: CallersOptions) {
    this.#hasIdentities = hasIdentities;
    this.#web = web;
    this.#cookies = web && new SessionCookies(web.pages);
  }

  /**
   * Throws RegistryError: 401 for credentials that are not right, 403 for a change that another site's page asks for,
   * and for tokens of the distribution API, which are for repositories alone.
   */
  async of(
    http: IncomingMessage,
    cookies: ReadonlyMap<string, string>,
    admit: () => Promise<Admission>,
    signal: AbortSignal,
  ): Promise<Caller> {
    if (!this.#hasIdentities) return { kind: 'everybody' };
    const { authorization } = http.headers;
    if (authorization === undefined) return await this.#bySession(http, cookies, signal);
    const { principal } = await admit();
    if (principal.kind === 'bearer') {
      throw registryError('DENIED', {
        message: 'tokens are for repositories: this takes a user name and a password, or a session',
      });
    }
    if (principal.kind === 'anonymous') return principal;
    const given = parseAuthorization(authorization);
    const isCli =
      given.kind === 'basic' && parseCliPassword(given.credentials.password) !== undefined;
    const by = isCli ? 'cli-password' : 'password';
    return { kind: 'identity', identity: principal.identity, by };
  }

  /** Throws RegistryError 403 for a request that no page of ours has made. */
  requireOwnPage({ method = '', headers }: IncomingMessage): void {
    if (this.#web) requireOwnPage(method, headers, this.#web.pages.origin);
  }

  async #bySession(
    { method = '', headers }: IncomingMessage,
    cookies: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<Caller> {
    const token = this.#cookies?.read(cookies, SESSION_COOKIE);
    const session = token === undefined ? undefined : await this.#web?.sessions.find(token, signal);
    if (token === undefined || !session || !this.#web) return { kind: 'anonymous' };
    const person = await this.#web.findPerson(session.identityId, signal);
    if (person?.stamp !== session.stamp) return { kind: 'anonymous' };
    requireOwnPage(method, headers, this.#web.pages.origin);
    const { identity } = person;
    return { kind: 'identity', identity, by: 'session', sessionToken: token };
  }
}

/** Throws RegistryError 401 for somebody who has to say who he is, 403 for somebody who may not call this. */
export function requireClass(caller: Caller, access: AccessClass): void {
  if (access === 'open' || access === 'reader' || caller.kind === 'everybody') return;
  if (caller.kind === 'anonymous') throw registryError('UNAUTHORIZED');
  if (access === 'signed-in') return;
  const { identity, by } = caller;
  if (identity.kind !== 'user') throw registryError('DENIED');
  if (by === 'cli-password') {
    throw registryError('DENIED', {
      message: 'a password for the command line changes no rights and makes no secrets',
    });
  }
  if (access === 'admin' && !identity.isAdmin) throw registryError('DENIED');
}
