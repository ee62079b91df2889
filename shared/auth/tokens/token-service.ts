import type { AuditEvent, AuditLog } from '../../observability/audit-log.ts';
import { RegistryError, registryError } from '../../oci/errors.ts';
import {
  type Access,
  type AccessPolicy,
  ANONYMOUS,
  type Grant,
  type Principal,
} from '../access.ts';
import type { ClientOrigin } from '../authenticator.ts';
import { basicChallenge, wrongPassword } from '../challenge.ts';
import type { Identity } from '../identity.ts';
import type { Credentials, ProvedIdentity } from '../password-source.ts';
import { requireSafe, type SignIn } from '../sign-in.ts';
import type { ProjectOf } from './bearer-policy.ts';
import type { RefreshTokens } from './refresh-tokens.ts';
import type { Scope } from './scope.ts';
import type { IssuedToken, TokenIssuer } from './token-issuer.ts';

export interface TokenServiceOptions {
  readonly signIn: SignIn;
  readonly issuer: TokenIssuer;
  readonly refreshTokens: RefreshTokens;
  /** Decides what is granted. */
  readonly policy: AccessPolicy;
  readonly projectOf: ProjectOf;
  /** Whose tokens these are. */
  readonly service: string;
  readonly basicRealm: string;
  /**
   * Credentials that nobody here knows get what everybody gets, where everybody gets what was asked for: docker sends
   * its Docker Hub login to every mirror.
   */
  readonly toleratesStrangers: boolean;
  /** Undefined: nobody keeps a record. */
  readonly audit?: AuditLog | undefined;
}

/** A request for a token, whichever way it came. */
export interface TokenRequest {
  readonly origin: ClientOrigin;
  readonly service: string | undefined;
  readonly scopes: readonly Scope[];
  readonly proof:
    | { readonly kind: 'nothing' }
    | { readonly kind: 'password'; readonly credentials: Credentials }
    | { readonly kind: 'refresh'; readonly token: string };
  /** A refresh token is wanted, so that no password need be kept. */
  readonly isOffline: boolean;
}

export interface TokenAnswer extends IssuedToken {
  readonly grants: readonly Grant[];
  readonly refreshToken: string | undefined;
}

/** Every name is looked up, and these questions cost whoever asks them nothing. */
const MAX_ANONYMOUS_SCOPES = 10;

/** Issues tokens for what is asked and allowed; less than what was asked is no error (distribution, token.md). */
export class TokenService {
  readonly #options: TokenServiceOptions;

  constructor(options: TokenServiceOptions) {
    this.#options = options;
  }

  /** Throws RegistryError: 401 for credentials that are not right, 403 for those that must not travel so, 400, 503. */
  async issue(request: TokenRequest, signal: AbortSignal): Promise<TokenAnswer> {
    const { issuer, service } = this.#options;
    if (request.service !== undefined && request.service !== service) {
      throw registryError('UNSUPPORTED', {
        status: 400,
        message: 'tokens of that service are not issued here',
      });
    }
    const identity = await this.#identify(request, signal);
    const principal: Principal = identity ? { kind: 'identity', identity } : ANONYMOUS;
    const grants = await this.#grants(principal, request.scopes, signal);
    const issued = await issuer.issue(identity, grants);
    return { ...issued, grants, refreshToken: await this.#standIn(request, identity, signal) };
  }

  /** What may be kept in place of the password; undefined: nothing, and clients keep the password. */
  async #standIn(
    { proof, isOffline, origin }: TokenRequest,
    identity: ProvedIdentity | undefined,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { refreshTokens } = this.#options;
    if (proof.kind === 'refresh') return proof.token;
    if (proof.kind === 'nothing' || !identity || !isOffline) return undefined;
    const made = await refreshTokens.issue(identity, signal);
    if (made !== undefined) {
      this.#note({ action: 'make-secret', subject: 'kept login' }, origin, identity);
    }
    return made;
  }

  /** Undefined: nobody in particular. */
  async #identify(request: TokenRequest, signal: AbortSignal): Promise<ProvedIdentity | undefined> {
    const { proof, origin } = request;
    if (proof.kind === 'nothing') return undefined;
    const isForAll = await this.#isForAll(request.scopes, signal);
    if (isForAll && !origin.isSafe) return undefined;
    requireSafe(origin);
    const identity = await this.#prove(request, isForAll, signal);
    if (identity) return identity;
    // Also for a wrong password of somebody who is known: or everybody could find out who that is.
    if (isForAll) return undefined;
    throw wrongPassword(basicChallenge(this.#options.basicRealm), origin);
  }

  async #prove(
    { proof, origin }: TokenRequest,
    isForAll: boolean,
    signal: AbortSignal,
  ): Promise<ProvedIdentity | undefined> {
    const { refreshTokens, signIn } = this.#options;
    if (proof.kind === 'nothing') return undefined;
    if (proof.kind === 'refresh') {
      const identity = await refreshTokens.identify(proof.token, signal);
      this.#note({ action: 'sign-in' }, origin, identity);
      return identity;
    }
    try {
      const gate = isForAll ? 'tolerant' : 'usual';
      const verdict = await signIn.check(proof.credentials, origin, signal, { gate });
      return typeof verdict === 'string' ? undefined : verdict;
    } catch (error) {
      // Nor may anybody find out by his guesses being too many, and who he is makes no difference.
      const isEndured =
        error instanceof RegistryError && ['TOOMANYREQUESTS', 'UNAVAILABLE'].includes(error.code);
      if (isForAll && isEndured) return undefined;
      throw error;
    }
  }

  #note(
    { action, subject }: Pick<AuditEvent, 'action' | 'subject'>,
    { address }: ClientOrigin,
    identity: Identity | undefined,
  ): void {
    this.#options.audit?.record({
      ...{ action, address, by: 'kept-login' },
      ...(subject !== undefined && { subject }),
      ...(identity
        ? { result: 'done', actor: { id: identity.id, name: identity.name } }
        : { result: 'denied', status: 401 }),
    });
  }

  /** True where strangers are tolerated and all that is asked for is what everybody may pull. */
  async #isForAll(scopes: readonly Scope[], signal: AbortSignal): Promise<boolean> {
    if (!this.#options.toleratesStrangers || scopes.length === 0) return false;
    if (scopes.length > MAX_ANONYMOUS_SCOPES) return false;
    for (const { type, name, actions } of scopes) {
      const isPull = type === 'repository' && actions.every((action) => action === 'pull');
      if (!isPull) return false;
      const access = { type, name, action: 'pull' } as const;
      if (!(await this.#options.policy.allows(ANONYMOUS, access, signal))) return false;
    }
    return true;
  }

  async #grants(
    principal: Principal,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<readonly Grant[]> {
    const { policy } = this.#options;
    const isAnonymous = principal.kind === 'anonymous';
    const grants: Grant[] = [];
    for (const { type, name, actions } of isAnonymous
      ? scopes.slice(0, MAX_ANONYMOUS_SCOPES)
      : scopes) {
      // Nobody in particular never pushes or deletes: nothing is looked up for that.
      const asked = askedAccess(type, name, actions).filter(
        ({ action }) => !isAnonymous || action === 'pull' || action === 'list',
      );
      const allowed: string[] = [];
      for (const access of asked) {
        if (!(await policy.allows(principal, access, signal))) continue;
        allowed.push(access.type === 'registry' ? '*' : access.action);
      }
      if (allowed.length === 0) continue;
      if (type === 'registry') grants.push({ type, name, actions: allowed });
      else grants.push(await this.#grantIn(name, asked, allowed, signal));
    }
    return grants;
  }

  /**
   * Clients look for what is there already before they push it: whoever may make a project by pushing may look into it
   * with the same token. That there is none, he knows by being allowed to.
   */
  async #grantIn(
    name: string,
    asked: readonly Access[],
    allowed: readonly string[],
    signal: AbortSignal,
  ): Promise<Grant> {
    const project = await this.#options.projectOf(name, signal);
    const isMaking = project === undefined && allowed.includes('push');
    const looks = isMaking && asked.some(({ action }) => action === 'pull');
    return {
      type: 'repository',
      name,
      actions: looks ? [...new Set(['pull', ...allowed])] : allowed,
      ...(project?.id !== undefined && { projectId: project.id }),
    };
  }
}

/** `*` asks for everything. */
function askedAccess(type: string, name: string, actions: readonly string[]): readonly Access[] {
  if (type === 'registry') {
    return name === 'catalog' && actions.includes('*')
      ? [{ type: 'registry', name, action: 'list' }]
      : [];
  }
  if (type !== 'repository') return [];
  const isAll = actions.includes('*');
  return (['pull', 'push', 'delete'] as const)
    .filter((action) => isAll || actions.includes(action))
    .map((action) => ({ type, name, action }));
}
