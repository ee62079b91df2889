import type { Readable } from 'node:stream';

import { errors } from 'undici';

import type { Observer } from '../../../shared/observability/observer.ts';
import type { OpenAnswer } from './body-connections.ts';
import { UpstreamFault } from './outcome.ts';
import { MAX_REDIRECTS, redirectedHeaders, redirectTarget } from './redirect-policy.ts';
import type { TransportRequest, UpstreamTransport } from './upstream-transport.ts';

export interface ExchangeRequest {
  readonly method: 'GET' | 'HEAD';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Without it a 3xx is given back as it is. */
  readonly followsRedirects: boolean;
  /** A body of many megabytes may come. */
  readonly isBlob?: boolean;
}

/** The body must be read to its end or destroyed by whoever asked. */
export interface ExchangeResponse {
  readonly status: number;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  readonly body: Readable;
  /** Values of repeated headers are joined by commas. */
  header(name: string): string | undefined;
  /** Instead of reading the body: keeps the connection when little is left of it. */
  discard(): void;
}

/** Bodies up to this are read away so that the connection is used again. */
const DISCARD_BYTES = 16 * 1024;
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * HTTP towards one upstream and the hosts that it names, with redirects by our own rules. Throws UpstreamFault, or the
 * reason of `signal`; an answer of whatever status is a value.
 */
export class HttpExchange {
  readonly #transport: UpstreamTransport;
  readonly #observer: Observer;

  constructor(observer: Observer, transport: UpstreamTransport) {
    this.#observer = observer;
    this.#transport = transport;
  }

  /** Ends every connection, also those in use. */
  async close(): Promise<void> {
    await this.#transport.close();
  }

  async send(request: ExchangeRequest, signal: AbortSignal): Promise<ExchangeResponse> {
    let { url } = request;
    let headers = request.headers;
    for (let hop = 0; ; hop += 1) {
      const { method, isBlob = false } = request;
      const response = await this.#sendOnce({ method, url, headers, isBlob }, signal);
      const location = response.header('location');
      const isRedirect = REDIRECT_STATUSES.has(response.status) && location !== undefined;
      if (!isRedirect || !request.followsRedirects) return response;
      response.discard();
      if (hop === MAX_REDIRECTS)
        throw new UpstreamFault('redirect', `more than ${MAX_REDIRECTS} redirects`);
      const next = redirectTarget(location, url);
      headers = redirectedHeaders(headers, url, next);
      url = next;
    }
  }

  async #sendOnce(request: TransportRequest, signal: AbortSignal): Promise<ExchangeResponse> {
    const { method, url } = request;
    const startedAt = performance.now();
    const observe = (statusClass: string): void => {
      this.#observer.upstreamRequest(method, statusClass, (performance.now() - startedAt) / 1000);
    };
    let answer: OpenAnswer;
    try {
      // What was compressed on the way would have another length and another digest (wire: quay, Red Hat).
      const headers = { ...request.headers, 'accept-encoding': 'identity' };
      answer = await this.#transport.request({ ...request, headers }, signal);
    } catch (error) {
      observe('error');
      signal.throwIfAborted();
      throw asFault(error, url);
    }
    const { status, headers, body } = answer;
    observe(`${Math.floor(status / 100)}xx`);
    return {
      status,
      url,
      body,
      header: (name) => {
        const value = headers[name];
        return Array.isArray(value) ? value.join(', ') : value;
      },
      discard: () => discard(body),
    };
  }
}

/** Reads a little away, and breaks off what has more. */
function discard(body: Readable): void {
  let left = DISCARD_BYTES;
  body.on('error', () => undefined);
  body.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) body.destroy();
  });
}

const TIMEOUTS: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);

/** Names the host alone: query strings of redirects are credentials. */
function asFault(error: unknown, url: URL): UpstreamFault {
  if (error instanceof UpstreamFault) return error;
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const isTimeout = TIMEOUTS.has(code);
  const isNotHttp = error instanceof errors.HTTPParserError;
  const reason = isTimeout ? 'timeout' : isNotHttp ? 'garbage' : 'connection';
  const what = isTimeout ? 'did not answer in time' : 'cannot be reached or broke off';
  return new UpstreamFault(reason, `${url.host} ${what}${code === '' ? '' : ` (${code})`}`, error);
}

/** The whole body, or undefined when it is longer than `maxBytes`. */
export async function readBody(
  body: Readable,
  maxBytes: number,
  url: URL,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) return undefined;
      chunks.push(chunk);
    }
  } catch (error) {
    throw asFault(error, url);
  }
  return Buffer.concat(chunks);
}
