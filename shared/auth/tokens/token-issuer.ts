import { randomUUID } from 'node:crypto';

import jwt from 'jsonwebtoken';

import type { Clock } from '../../lifecycle/clock.ts';
import type { Grant } from '../access.ts';
import type { Identity } from '../identity.ts';
import { TOKEN_ALGORITHM, type TokenKeys } from './token-keys.ts';

export interface IssuerOptions {
  readonly keys: Pick<TokenKeys, 'signing'>;
  readonly issuer: string;
  readonly service: string;
  readonly lifeSeconds: number;
  readonly clock: Clock;
}

export interface IssuedToken {
  readonly token: string;
  readonly issuedAt: Date;
  readonly expiresInSeconds: number;
}

/** Signs tokens with the claims of the reference implementation (distribution, docs/spec/auth/jwt.md). */
export class TokenIssuer {
  readonly #options: IssuerOptions;

  constructor(options: IssuerOptions) {
    this.#options = options;
  }

  /** `identity` is undefined for a token of nobody in particular. Throws StorageError when there is no key. */
  async issue(identity: Identity | undefined, grants: readonly Grant[]): Promise<IssuedToken> {
    const { keys, issuer, service, lifeSeconds, clock } = this.#options;
    const { kid, privateKey } = await keys.signing();
    const issuedAt = clock.now();
    const iat = Math.floor(issuedAt.getTime() / 1000);
    const claims = {
      iss: issuer,
      sub: identity?.name ?? '',
      aud: service,
      exp: iat + lifeSeconds,
      nbf: iat,
      iat,
      jti: randomUUID(),
      access: grants.map(({ projectId, ...grant }) => ({
        ...grant,
        ...(projectId !== undefined && { project: projectId }),
      })),
      ...(identity && { identity: told(identity, grants) }),
    };
    const token = jwt.sign(claims, privateKey, { algorithm: TOKEN_ALGORITHM, keyid: kid });
    return { token, issuedAt, expiresInSeconds: lifeSeconds };
  }
}

/** Groups are needed for lists alone, and may be many; what an administrator makes by a push is marked as his. */
function told({ kind, id, groups, isAdmin }: Identity, grants: readonly Grant[]): object {
  const isForLists = grants.some(({ type }) => type === 'registry');
  const isForPushes = grants.some(({ actions }) => actions.includes('push'));
  return {
    kind,
    id,
    groups: isForLists ? groups : [],
    isAdmin: isAdmin && (isForLists || isForPushes),
  };
}
