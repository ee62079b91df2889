import { LRUCache } from 'lru-cache';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import type { Client } from './client.ts';
import type { Role } from './model.ts';

export const SERVICES: Readonly<Record<Role, string>> = {
  push: 'twinport',
  mirror: 'twinport-mirror',
};

/** Well within the life of a token, of which a busy machine may use up much. */
const KEPT_MS = 60_000;

/** Gets tokens as clients do, and uses each for a while. */
export class TokenDesk {
  readonly #client: Client;
  readonly #tokens = new LRUCache<string, Promise<string>>({ max: 10_000, ttl: KEPT_MS });

  constructor(client: Client) {
    this.#client = client;
  }

  readonly get = (
    role: Role,
    account: readonly [string, string] | undefined,
    scopes: readonly string[],
  ): Promise<string> => {
    const key = JSON.stringify([role, account, scopes]);
    let token = this.#tokens.get(key);
    if (!token) {
      token = this.#fetch(role, account, scopes);
      this.#tokens.set(key, token);
    }
    return token;
  };

  async #fetch(
    role: Role,
    account: readonly [string, string] | undefined,
    scopes: readonly string[],
  ): Promise<string> {
    const asked = scopes.map((scope) => `&scope=${scope}`).join('');
    const answer = await this.#client.send(
      role,
      { method: 'GET', path: `/auth/token?service=${SERVICES[role]}${asked}` },
      account ? { authorization: basic(...account) } : {},
    );
    if (answer.status !== 200) {
      throw new Error(`no token for ${String(account?.[0])}: ${answer.body.toString()}`);
    }
    return (JSON.parse(answer.body.toString()) as { token: string }).token;
  }
}
