/** An HTTP client for tests that sends what it is told, the request target as it is, and follows nothing. */
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

export interface TestRequest {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: Buffer | string | Readable;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One request on a connection of its own. Rejects when the connection breaks before the answer is whole. */
export async function send(
  port: number,
  path: string,
  options: TestRequest = {},
): Promise<TestAnswer> {
  const incoming = await openAnswer(port, path, options);
  const body = await buffer(incoming);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body };
}

/** As `send`, and the body is read when and as the test likes. */
export function openAnswer(
  port: number,
  path: string,
  { method = 'GET', headers = {}, body }: TestRequest = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method, headers, agent: false };
    const outgoing = request(options, resolve);
    outgoing.on('error', reject);
    if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
      outgoing.end(body);
    } else {
      body.on('data', (chunk: Buffer) => outgoing.write(chunk));
      body.once('end', () => outgoing.end());
    }
  });
}

/** Sends raw bytes and returns all that comes back until the server closes the connection. */
export function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('error', reject);
    socket.once('close', () => resolve(Buffer.concat(chunks).toString()));
    socket.write(text);
  });
}

interface OciErrorBody {
  readonly errors: readonly { code: string; message: string; detail?: unknown }[];
}

/** The code of the first error in an answer's body. */
export function errorCode(answer: TestAnswer): string | undefined {
  return (JSON.parse(answer.body.toString()) as OciErrorBody).errors[0]?.code;
}
