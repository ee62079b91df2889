import { createPublicKey, type KeyObject } from 'node:crypto';

import jwt from 'jsonwebtoken';

import { keyId } from '../../../shared/auth/tokens/token-keys.ts';
import type { Role } from './model.ts';

export const EXTERNAL = { issuer: 'Acme auth server', service: 'registry.example' } as const;

/** A token server that the registry does not know but by its key. */
export class ExternalIssuer {
  readonly key: KeyObject;

  constructor(key: KeyObject) {
    this.key = key;
  }

  /** What its key is published as (RFC 7517). */
  jwks(): object {
    const jwk = createPublicKey(this.key).export({ format: 'jwk' });
    return { keys: [{ ...jwk, kid: keyId(this.key), use: 'sig' }] };
  }

  /** What a token for these rights says. */
  claims(role: Role, access: readonly object[]): Record<string, unknown> {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: EXTERNAL.issuer,
      sub: 'alice',
      aud: role === 'push' ? EXTERNAL.service : `${EXTERNAL.service}-mirror`,
      iat: now,
      nbf: now,
      exp: now + 300,
      jti: 'of the token server',
      access,
    };
  }

  sign(claims: object, key = this.key): string {
    return jwt.sign(claims, key, { algorithm: 'ES256', keyid: keyId(this.key) });
  }

  /** Of somebody with every right to a repository. */
  headersFor(name: string, role: Role, sub: string): { readonly authorization: string } {
    const access = { type: 'repository', name, actions: ['pull', 'push', 'delete'] };
    const claims = { ...this.claims(role, [access]), sub };
    return { authorization: `Bearer ${this.sign(claims)}` };
  }
}
