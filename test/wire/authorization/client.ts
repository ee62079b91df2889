import { Pool } from 'undici';

import type { Role } from './model.ts';
import type { Sent } from './operations.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

const CONNECTIONS = 64;

/** Speaks with both roles over connections that stay. */
export class Client {
  readonly #pools: Readonly<Record<Role, Pool>>;

  constructor(urls: Readonly<Record<Role, string>>) {
    const open = (url: string): Pool => new Pool(url, { connections: CONNECTIONS });
    this.#pools = { push: open(urls.push), mirror: open(urls.mirror) };
  }

  async send(
    role: Role,
    { method, path, headers = {}, body }: Sent,
    credentials: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const answer = await this.#pools[role].request({
      method,
      path,
      headers: { ...headers, ...credentials },
      body: body ?? null,
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    return { status: answer.statusCode, headers: answer.headers, body: bytes };
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#pools).map((pool) => pool.close()));
  }
}

interface ErrorBody {
  readonly errors?: readonly { readonly code: string }[];
}

/** The code of an error; undefined for other answers. */
export function codeOf({ status, body }: Answer): string | undefined {
  if (status < 400 || body.length === 0) return undefined;
  return (JSON.parse(body.toString('utf8')) as ErrorBody).errors?.[0]?.code;
}
