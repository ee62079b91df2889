import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  request as sendRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';

import { seededRandom } from './seeded-random.ts';

/** What a request asks of S3, told from its method, query and headers. */
export type S3Operation =
  | 'GetObject'
  | 'HeadObject'
  | 'PutObject'
  | 'CopyObject'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'ListObjects'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'UploadPartCopy'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'ListMultipartUploads'
  | 'other';

type S3Fault =
  /** Refused before anything happened. */
  | { readonly kind: 'refuse'; readonly status: number; readonly code: string }
  /** Answered without being applied, by this body. */
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  /** Applied, then the connection dies before the answer. */
  | { readonly kind: 'lose-answer' }
  /** Applied; the answer's body is cut after so many bytes, with the length of the whole announced. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** As 'cut', but the connection stays open and silent. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Read, never applied, never answered. */
  | { readonly kind: 'hang' };

interface FaultRule {
  /** Any, without it. */
  readonly operation?: S3Operation;
  /** Only for keys that match. */
  readonly key?: RegExp;
  /** So many matching requests pass first. */
  readonly skip?: number;
  /** So many requests after those are hit; all of them without it. */
  readonly times?: number;
  /** Of those only each so-many-th. */
  readonly every?: number;
  /** Of those only this part, by chance. */
  readonly share?: number;
  readonly fault: S3Fault;
}

interface SeenRequest {
  readonly operation: S3Operation;
  readonly key: string;
  readonly bodyBytes: number;
}

export interface S3FaultProxy {
  readonly endpoint: string;
  /** Every request since the last `clear`, in the order of arrival. */
  readonly seen: readonly SeenRequest[];
  /** Connections of clients that are open now. */
  readonly openConnections: number;
  inject(rule: FaultRule): void;
  /** Drops all rules and what was seen. */
  clear(): void;
  stop(): Promise<void>;
}

interface Arrival {
  readonly operation: S3Operation;
  readonly key: string;
  readonly body: Buffer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Stands between an S3 client and a real server and misbehaves by rule. The Host header goes on as the client signed
 * it, so clients take the proxy's address as their endpoint and signatures hold.
 */
export async function startS3FaultProxy(upstream: string): Promise<S3FaultProxy> {
  const proxy = new FaultProxy(new URL(upstream));
  await proxy.listen();
  return proxy;
}

class FaultProxy implements S3FaultProxy {
  seen: SeenRequest[] = [];
  readonly #upstream: URL;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #random = seededRandom(28);
  #rules: { readonly rule: FaultRule; matched: number }[] = [];

  constructor(upstream: URL) {
    this.#upstream = upstream;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
    // It breaks connections by rule alone: closing idle ones would race with a client that just takes one up again.
    this.#server.keepAliveTimeout = 0;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  inject(rule: FaultRule): void {
    this.#rules.push({ rule, matched: 0 });
  }

  clear(): void {
    this.#rules = [];
    this.seen = [];
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://proxy');
    const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'));
    const operation = operationOf(request, url, key);
    const body = await buffer(request);
    this.seen.push({ operation, key, bodyBytes: body.length });
    const arrival = { operation, key, body, request, response };
    const fault = this.#faultFor(operation, key);
    switch (fault?.kind) {
      case 'refuse': {
        const { status, code } = fault;
        answer(response, status, `<Error><Code>${code}</Code><Message>injected</Message></Error>`);
        break;
      }
      case 'answer':
        answer(response, fault.status, fault.body);
        break;
      case 'hang':
        break;
      case 'lose-answer':
        await this.#forward(arrival);
        response.destroy();
        break;
      case 'cut':
      case 'stall':
      case undefined:
        await this.#pass(arrival, fault);
        break;
    }
  }

  async #pass(
    arrival: Arrival,
    fault: Extract<S3Fault, { kind: 'cut' | 'stall' }> | undefined,
  ): Promise<void> {
    const { response } = arrival;
    const { status, headers, body } = await this.#forward(arrival);
    response.writeHead(status, headers);
    if (fault === undefined) {
      response.end(body);
      return;
    }
    response.write(body.subarray(0, fault.afterBytes), () => {
      if (fault.kind === 'cut') response.destroy();
    });
  }

  async #forward({ request, body }: Arrival): Promise<{
    readonly status: number;
    readonly headers: string[];
    readonly body: Buffer;
  }> {
    const { hostname, port } = this.#upstream;
    const headers = { ...request.headers };
    delete headers.expect;
    delete headers.connection;
    const { method = 'GET', url = '/' } = request;
    const options = { hostname, port, method, path: url, headers, setHost: false, agent: false };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = sendRequest(options, resolve);
    outgoing.on('error', reject);
    outgoing.end(body);
    const answered = await promise;
    const { statusCode = 502, rawHeaders } = answered;
    return { status: statusCode, headers: rawHeaders, body: await buffer(answered) };
  }

  #faultFor(operation: S3Operation, key: string): S3Fault | undefined {
    for (const entry of this.#rules) {
      const { rule } = entry;
      if ((rule.operation ?? operation) !== operation || rule.key?.test(key) === false) continue;
      entry.matched += 1;
      const turn = entry.matched - (rule.skip ?? 0);
      const isDue = turn >= 1 && turn <= (rule.times ?? Infinity) && turn % (rule.every ?? 1) === 0;
      if (isDue && this.#random() < (rule.share ?? 1)) return rule.fault;
    }
    return undefined;
  }
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    'content-type': 'application/xml',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

function operationOf(request: IncomingMessage, url: URL, key: string): S3Operation {
  const query = url.searchParams;
  const isUpload = query.has('uploadId');
  switch (request.method) {
    case 'GET':
      return key === '' ? listingOf(query) : 'GetObject';
    case 'HEAD':
      return key === '' ? 'other' : 'HeadObject';
    case 'DELETE':
      return isUpload ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'PUT':
      return writingOf(isUpload, request.headers['x-amz-copy-source'] !== undefined);
    case 'POST':
      if (query.has('delete')) return 'DeleteObjects';
      return isUpload ? 'CompleteMultipartUpload' : 'CreateMultipartUpload';
    case undefined:
    default:
      return 'other';
  }
}

function writingOf(isUpload: boolean, isCopy: boolean): S3Operation {
  if (isUpload) return isCopy ? 'UploadPartCopy' : 'UploadPart';
  return isCopy ? 'CopyObject' : 'PutObject';
}

function listingOf(query: URLSearchParams): S3Operation {
  return query.has('uploads') ? 'ListMultipartUploads' : 'ListObjects';
}
