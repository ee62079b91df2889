import { request } from 'node:http';

import { expect, test } from '@jest/globals';

/** A pattern where the value is not known; `undefined`: must not be there. */
export type ExpectedHeaders = Readonly<Record<string, string | RegExp | undefined>>;

/** One HTTP call and what must come back. */
export interface Call {
  /** A sentence: what this call shows. */
  readonly shows: string;
  readonly method: string;
  /** Sent as it stands, without normalisation. `{word}` stands for the location, `{word-id}` for the upload, of an earlier row that `saves` as `word`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly status: number;
  readonly answers?: ExpectedHeaders;
  /** The expected first error code of an OCI error body. */
  readonly code?: string;
  /** The expected body. */
  readonly content?: string | Buffer | RegExp;
  /** The expected body as JSON. */
  readonly json?: unknown;
  /** Keeps the answer's `Location` and `Docker-Upload-UUID` under this word for the rows after it. */
  readonly saves?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** One call on a connection of its own. */
export async function call(
  url: string,
  { method, path, headers, body }: Pick<Call, 'method' | 'path' | 'headers' | 'body'>,
): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return await new Promise<Answer>((resolve, reject) => {
    const sent = request(
      {
        hostname,
        port,
        method,
        path,
        agent: false,
        headers: {
          ...(body !== undefined &&
            headers?.['Transfer-Encoding'] === undefined && {
              'Content-Length': String(Buffer.byteLength(body)),
            }),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Declares one test per row; the rows run in their order against the server that `url` gives. */
export function describeCalls(url: () => string, rows: readonly Call[]): void {
  const saved = new Map<string, string>();
  for (const row of rows) {
    test(`${row.shows} (${row.method} ${row.path})`, async () => {
      const path = row.path.replace(/\{([\w-]+)\}/g, (_, word: string) => saved.get(word) ?? word);
      const answer = await call(url(), { ...row, path });
      expectAnswer(answer, row);
      if (row.saves === undefined) return;
      saved.set(row.saves, String(answer.headers['location']));
      saved.set(`${row.saves}-id`, String(answer.headers['docker-upload-uuid']));
    });
  }
}

function expectAnswer(answer: Answer, row: Call): void {
  const text = answer.body.toString('utf8');
  expect({ status: answer.status, ...(answer.status !== row.status && { text }) }).toEqual({
    status: row.status,
  });
  const always: ExpectedHeaders = {
    'Docker-Distribution-API-Version': 'registry/2.0',
    'X-Content-Type-Options': 'nosniff',
    'Transfer-Encoding': undefined,
  };
  for (const [name, value] of Object.entries({ ...always, ...row.answers })) {
    const found = answer.headers[name.toLowerCase()];
    if (value instanceof RegExp) expect(found).toMatch(value);
    else expect({ [name]: found }).toEqual({ [name]: value });
  }
  if (row.code !== undefined && row.method === 'HEAD') {
    expect(Number(answer.headers['content-length'])).toBeGreaterThan(0);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
  } else if (row.code !== undefined) {
    const { errors } = JSON.parse(text) as { errors: { code: string; message: string }[] };
    expect(errors[0]?.code).toBe(row.code);
    expect(errors[0]?.message).not.toBe('');
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
  }
  if (row.json !== undefined) expect(JSON.parse(text)).toEqual(row.json);
  if (row.content instanceof RegExp) expect(text).toMatch(row.content);
  else if (row.content !== undefined) expect(answer.body).toEqual(Buffer.from(row.content));
}
