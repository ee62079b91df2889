import { NodeHttpHandler } from '@smithy/node-http-handler';

import type { HandedOver } from '../../plain-http/handed-over.ts';
import { type PlainAnswer, PullConnection } from '../../plain-http/pull-connection.ts';
import { OneConnectionAgent } from '../../plain-http/one-connection-agent.ts';
import { requestText } from '../../plain-http/request-text.ts';
import type { S3Deadlines } from './s3-deadlines.ts';
import { StorePool } from './store-pool.ts';
import { type Endpoint, endpointOf, openStoreSocket } from './store-socket.ts';

type HandleParameters = Parameters<NodeHttpHandler['handle']>;
type Request = HandleParameters[0];
type Options = NonNullable<HandleParameters[1]>;
type Handled = Awaited<ReturnType<NodeHttpHandler['handle']>>;

/**
 * Sends the SDK's GETs over connections of its own (see PullConnection), at most `maxConnections` at once. It keeps the
 * deadlines and names the faults as the SDK's handler does; answers that are not plain it leaves to that one.
 */
export class PullHttpHandler {
  readonly #deadlines: S3Deadlines;
  readonly #maxConnections: number;
  readonly #pool = new StorePool(
    (endpoint, onFree) => new PullConnection((onread) => openStoreSocket(endpoint, onread), onFree),
  );

  constructor(deadlines: S3Deadlines, maxConnections: number) {
    this.#deadlines = deadlines;
    this.#maxConnections = maxConnections;
  }

  async handle(request: Request, options: Options = {}): Promise<Handled> {
    const { abortSignal } = options;
    const text = requestText(request);
    if (abortSignal?.aborted === true) throw aborted();
    const connection = this.#take(endpointOf(request));
    const answer = await this.#ask(connection, text, options);
    if (!('head' in answer)) return await this.#handOver(answer, request, options);
    const { head, body } = answer;
    onAbort(
      abortSignal,
      () => body.destroy(aborted()),
      (stop) => body.once('close', stop),
    );
    const { status: statusCode, reason, headers } = head;
    const response: unknown = { statusCode, reason, headers: { ...headers }, body };
    // The SDK looks at no more than this of its own class.
    return { response: response as Handled['response'] };
  }

  destroy(): void {
    this.#pool.destroy();
  }

  async #ask(
    connection: PullConnection,
    text: string,
    { abortSignal, requestTimeout = this.#deadlines.firstByteMs }: Options,
  ): Promise<PlainAnswer | HandedOver> {
    const { connectMs } = this.#deadlines;
    const timers: NodeJS.Timeout[] = [];
    const limit = (ms: number, what: string): NodeJS.Timeout => {
      const timer = setTimeout(() => {
        connection.destroy(timedOut(`${what} within ${ms} ms`));
      }, ms);
      timers.push(timer);
      return timer;
    };
    let stopWatching = (): void => undefined;
    onAbort(
      abortSignal,
      () => connection.destroy(aborted()),
      (stop) => (stopWatching = stop),
    );
    if (connection.isConnecting) {
      const timer = limit(connectMs, 'no connection');
      connection.onceConnected(() => clearTimeout(timer));
    }
    limit(requestTimeout, 'no answer');
    try {
      return await connection.ask(text);
    } finally {
      for (const timer of timers) clearTimeout(timer);
      stopWatching();
    }
  }

  /** Lets the SDK's own handler read an answer that has begun. An interim one may be all that has come in time. */
  async #handOver(
    to: HandedOver,
    request: Request,
    { requestTimeout = this.#deadlines.firstByteMs, ...options }: Options,
  ): Promise<Handled> {
    const handler = new NodeHttpHandler({
      httpAgent: new OneConnectionAgent(to),
      socketTimeout: 0,
      throwOnRequestTimeout: true,
    });
    const plain = Object.create(request, { protocol: { value: 'http:' } }) as Request;
    const timer = setTimeout(() => {
      to.destroy(timedOut(`no answer within ${requestTimeout} ms`));
    }, requestTimeout);
    try {
      return await handler.handle(plain, options);
    } finally {
      clearTimeout(timer);
    }
  }

  #take(endpoint: Endpoint): PullConnection {
    const idle = this.#pool.takeIdle(endpoint);
    if (idle) return idle;
    if (this.#pool.size >= this.#maxConnections) throw timedOut('no connection is free');
    return this.#pool.connect(endpoint);
  }
}

/** `keep` is given what ends the listening. */
function onAbort(
  signal: Options['abortSignal'],
  listener: () => void,
  keep: (stop: () => void) => void,
): void {
  if (!signal || !('addEventListener' in signal)) return;
  const standard = signal;
  standard.addEventListener('abort', listener, { once: true });
  keep(() => standard.removeEventListener('abort', listener));
}

/** Both names are known to the SDK: the first is tried again. */
const timedOut = (message: string): Error =>
  Object.assign(new Error(message), { name: 'TimeoutError' });
const aborted = (): Error => Object.assign(new Error('Request aborted'), { name: 'AbortError' });
