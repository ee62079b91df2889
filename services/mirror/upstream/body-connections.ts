import { type IncomingMessage, request as sendRequest } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';
import { addAbortSignal, type Readable } from 'node:stream';

import type { HandedOver } from '../../../shared/plain-http/handed-over.ts';
import { LentBody } from '../../../shared/plain-http/lent-body.ts';
import { OneConnectionAgent } from '../../../shared/plain-http/one-connection-agent.ts';
import { type PlainAnswer, PullConnection } from '../../../shared/plain-http/pull-connection.ts';
import { requestText } from '../../../shared/plain-http/request-text.ts';
import type { ExchangeDeadlines } from './exchange-deadlines.ts';

/** An answer whose body is read to its end or destroyed by whoever asked. */
export interface OpenAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

/** An idle connection is not used after this: the other side may just be about to close it. */
const MAX_IDLE_MS = 4_000;

/**
 * GETs whose bodies are large, over connections of their own that read them into memory which is used again (see
 * PullConnection). What is not plain HTTP goes through Node's parser.
 */
export class BodyConnections {
  readonly #open: (url: URL, onread: OnReadOpts) => Socket;
  readonly #deadlines: ExchangeDeadlines;
  readonly #idle = new Map<string, PullConnection[]>();
  readonly #all = new Set<PullConnection>();

  /** `open` connects, or throws what forbids that. */
  constructor(open: (url: URL, onread: OnReadOpts) => Socket, deadlines: ExchangeDeadlines) {
    this.#open = open;
    this.#deadlines = deadlines;
  }

  /** Rejects as undici does, with the system's errors and codes of its own. */
  async get(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<OpenAnswer> {
    signal.throwIfAborted();
    const text = requestText({
      method: 'GET',
      path: `${url.pathname}${url.search}`,
      headers: { host: url.host, ...headers },
    });
    const idle = this.#takeIdle(url.origin);
    if (idle) {
      try {
        return await this.#ask(idle, text, signal);
      } catch (error) {
        // It was closed before it was asked, as far as anybody can tell: a GET may be asked again.
        if (signal.aborted || (error as NodeJS.ErrnoException).code === 'ETIMEDOUT') throw error;
      }
    }
    return await this.#ask(this.#connect(url), text, signal);
  }

  /** Lets go of idle connections; the others end with their bodies. */
  closeIdle(): void {
    for (const idle of this.#idle.values()) for (const connection of idle) connection.destroy();
  }

  /** Ends every connection, also those in use. */
  destroy(): void {
    for (const connection of this.#all) connection.destroy();
  }

  async #ask(connection: PullConnection, text: string, signal: AbortSignal): Promise<OpenAnswer> {
    const { connectMs, headersMs, idleMs } = this.#deadlines;
    const limit = (ms: number): NodeJS.Timeout =>
      setTimeout(() => connection.destroy(timedOut()), ms);
    const onAbort = (): void => connection.destroy(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    const timers = [limit(headersMs)];
    if (connection.isConnecting) {
      const timer = limit(connectMs);
      timers.push(timer);
      connection.onceConnected(() => clearTimeout(timer));
    }
    try {
      const answer = await connection.ask(text);
      const open = 'head' in answer ? plainAnswer(answer) : await parsed(answer);
      addAbortSignal(signal, open.body);
      watch(open.body, connection, idleMs);
      return open;
    } finally {
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  #connect(url: URL): PullConnection {
    const { origin } = url;
    const connection: PullConnection = new PullConnection(
      (onread) => this.#open(url, onread),
      () => this.#keep(origin, connection),
    );
    this.#all.add(connection);
    connection.onceClosed(() => {
      this.#all.delete(connection);
      this.#forget(origin, connection);
    });
    return connection;
  }

  #keep(origin: string, connection: PullConnection): void {
    const idle = this.#idle.get(origin) ?? [];
    idle.push(connection);
    this.#idle.set(origin, idle);
    setTimeout(() => {
      if (this.#forget(origin, connection)) connection.destroy();
    }, MAX_IDLE_MS).unref();
  }

  /** The one that was used last. */
  #takeIdle(origin: string): PullConnection | undefined {
    const connection = this.#idle.get(origin)?.at(-1);
    if (connection) this.#forget(origin, connection);
    return connection?.isUsable === true ? connection : undefined;
  }

  /** False when it is not idle. */
  #forget(origin: string, connection: PullConnection): boolean {
    const idle = this.#idle.get(origin);
    const at = idle?.indexOf(connection) ?? -1;
    if (at < 0) return false;
    idle?.splice(at, 1);
    if (idle?.length === 0) this.#idle.delete(origin);
    return true;
  }
}

const plainAnswer = ({ head, body }: PlainAnswer): OpenAnswer => ({
  status: head.status,
  headers: head.headers,
  body,
});

/** Lets Node read an answer that has begun: the request that it writes for that goes nowhere. */
async function parsed(to: HandedOver): Promise<OpenAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const agent = new OneConnectionAgent(to);
    sendRequest({ agent, method: 'GET' }, resolve).once('error', reject).end();
  });
  return { status: response.statusCode ?? 0, headers: response.headers, body: response };
}

/** Breaks off a body whose sender owes bytes for `idleMs` (twice that at most). A reader that takes none is no reason. */
function watch(body: Readable, connection: PullConnection, idleMs: number): void {
  let seenBytes = connection.bytesRead;
  const timer = setInterval(() => {
    const isWaiting = body instanceof LentBody ? body.isWaiting : body.readableLength === 0;
    const hasMoved = connection.bytesRead !== seenBytes;
    seenBytes = connection.bytesRead;
    if (isWaiting && !hasMoved) body.destroy(timedOut());
  }, idleMs);
  timer.unref();
  if (body.closed) clearInterval(timer);
  else body.once('close', () => clearInterval(timer));
}

const timedOut = (): Error =>
  Object.assign(new Error('the upstream took too long'), { code: 'ETIMEDOUT' });
