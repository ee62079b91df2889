import type { ClientOrigin } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { Credentials, ProvedIdentity } from '../auth/password-source.ts';
import type { SignIn } from '../auth/sign-in.ts';
import { parseCliPassword } from '../management/cli-passwords.ts';
import { SESSION_SECONDS } from '../management/sessions.ts';
import { registryError } from '../oci/errors.ts';
import { SESSION_COOKIE, type WebSessions } from './callers.ts';
import { SessionCookies } from './session-cookies.ts';

/** A session that has begun, and the header that gives the browser its token. */
export interface BegunSession {
  readonly identity: Identity;
  readonly token: string;
  readonly setCookie: string;
}

/** Signs people in and out at the web. Each sign-in begins a session of its own and ends the one that was there. */
export class WebSignIn {
  readonly #web: WebSessions;
  readonly #signIn: Pick<SignIn, 'check'> | undefined;
  readonly #cookies: SessionCookies;

  /** Without `signIn` no passwords are taken. */
  constructor(web: WebSessions, signIn: Pick<SignIn, 'check'> | undefined) {
    this.#web = web;
    this.#signIn = signIn;
    this.#cookies = new SessionCookies(web.pages);
  }

  get takesPasswords(): boolean {
    return this.#signIn !== undefined;
  }

  /** Throws RegistryError: 401 for what is not right, and for robots and passwords for the command line; 429. */
  async byPassword(
    credentials: Credentials,
    origin: ClientOrigin,
    cookies: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<BegunSession> {
    const isCli = parseCliPassword(credentials.password) !== undefined;
    const verdict = isCli
      ? 'wrong'
      : await this.#signIn?.check(credentials, origin, signal, { isFresh: true });
    if (verdict === undefined || typeof verdict === 'string' || verdict.kind !== 'user') {
      throw wrongCredentials();
    }
    return await this.begin(verdict, cookies, signal);
  }

  /** Throws RegistryError: 403 when he is locked out, 401 when his password was changed since it was compared. */
  async begin(
    proved: ProvedIdentity,
    cookies: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<BegunSession> {
    const person = await this.#web.findPerson(proved.id, signal);
    if (!person) throw registryError('DENIED', { message: 'this account is locked' });
    const { identity, stamp } = person;
    if (proved.stamp !== undefined && proved.stamp !== stamp) throw wrongCredentials();
    await this.#endFormer(cookies, signal);
    const token = await this.#web.sessions.begin({ identityId: identity.id, stamp }, signal);
    const setCookie = this.#cookies.write(SESSION_COOKIE, token, SESSION_SECONDS);
    return { identity, token, setCookie };
  }

  /** Ends the session of the browser, and resolves with the header that takes its token away. */
  async end(cookies: ReadonlyMap<string, string>, signal: AbortSignal): Promise<string> {
    await this.#endFormer(cookies, signal);
    return this.#cookies.clear(SESSION_COOKIE);
  }

  async #endFormer(cookies: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    const former = this.#cookies.read(cookies, SESSION_COOKIE);
    if (former !== undefined) await this.#web.sessions.end(former, signal);
  }
}

const wrongCredentials = (): Error =>
  registryError('UNAUTHORIZED', { message: 'the user name or the password is not right' });
