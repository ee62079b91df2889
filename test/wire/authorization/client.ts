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

  /** Without streams, which cost more than all the rest of a small answer. */
  send(
    role: Role,
    { method, path, headers = {}, body }: Sent,
    credentials: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const chunks: Buffer[] = [];
    let [status, answered]: [number, Answer['headers']] = [0, {}];
    this.#pools[role].dispatch(
      { method, path, headers: { ...headers, ...credentials }, body: body ?? null },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, statusCode, fields) => {
          [status, answered] = [statusCode, fields];
        },
        onResponseData: (_controller, chunk) => {
          chunks.push(chunk);
        },
        onResponseEnd: () => {
          resolve({ status, headers: answered, body: Buffer.concat(chunks) });
        },
        onResponseError: (_controller, error) => {
          reject(error);
        },
      },
    );
    return promise;
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
