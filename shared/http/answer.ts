import type { IncomingMessage, ServerResponse } from 'node:http';

import { type HeaderFields, HEADERS } from './headers.ts';

/** What a client may still send after it got its answer, until the connection is cut. */
const DRAIN_MAX_BYTES = 64 * 1024 * 1024;
const DRAIN_MAX_MS = 10_000;
/** Of a body that is refused, what is taken before the answer goes out, and how long it is waited for. */
const TAKEN_FIRST_BYTES = 256 * 1024;
const TAKEN_FIRST_MS = 1_000;
const METHODS_WITH_BODY: ReadonlySet<string> = new Set(['PUT', 'POST', 'PATCH']);

export interface Answer {
  readonly status: number;
  readonly headers?: HeaderFields;
  readonly body?: Buffer | string;
}

/** Stand in every answer of the API. */
const PROTOCOL_HEADERS = {
  [HEADERS.apiVersion]: 'registry/2.0',
  [HEADERS.contentTypeOptions]: 'nosniff',
};

/** Answers written to their last byte that are not ended yet. */
const written = new WeakSet<ServerResponse>();

/** True when the client was given the whole answer, whatever became of the connection afterwards. */
export const isAnswered = (response: ServerResponse): boolean =>
  response.writableFinished || written.has(response);

/** The system has the last byte of the answer: a client may leave with it before the answer is ended here. */
export const noteWritten = (response: ServerResponse): void => {
  written.add(response);
};

/**
 * Sends a small answer whole, with its exact length. When the request's body was not read to its end the connection
 * is closed afterwards, but not before the client had the time to notice the answer: a connection closed with unread
 * bytes is reset, and the reset may overtake the answer. A small body is taken before: containerd 1.6 waits for ever when
 * the answer comes while it sends a manifest. Resolves when nothing is left to do.
 */
export async function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  if (isSmallBodyAhead(request) && !saysClose(answer)) await drain(request, TAKEN_FIRST_MS);
  if (response.destroyed) return;
  const { body: content = '' } = answer;
  const body = typeof content === 'string' ? Buffer.from(content) : content;
  const headers: Record<string, string | number | readonly string[]> = { ...answer.headers };
  if (hasLength(answer.status) && !(HEADERS.contentLength in headers)) {
    headers[HEADERS.contentLength] = body.length;
  }
  const isUnread = !isReceived(request);
  if (isUnread) headers[HEADERS.connection] = 'close';
  writeHead(response, answer.status, headers);
  const isBodyless = request.method === 'HEAD' || !hasLength(answer.status);
  if (!isUnread) {
    response.end(isBodyless ? undefined : body);
    return;
  }
  if (isBodyless || body.length === 0) response.flushHeaders();
  else response.write(body);
  noteWritten(response);
  await drain(request);
  response.end();
}

/** Begins an answer, with the headers that each one has. All in one go: set one by one they would cost several times that. */
export function writeHead(response: ServerResponse, status: number, headers: HeaderFields): void {
  const all = { ...PROTOCOL_HEADERS, ...headers };
  response.writeHead(status, all as Record<string, string | number | string[]>);
}

/** 1xx, 204 and 304 carry no length of their own (RFC 9110, 8.6). */
const hasLength = (status: number): boolean => status >= 200 && status !== 204 && status !== 304;

/** True when the whole request has arrived; Node itself discards what of it nobody read. */
function isReceived(request: IncomingMessage): boolean {
  if (request.complete) return true;
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding === undefined && (length === undefined || length === '0');
}

/** A body of a length that is worth a connection that stays; not one of a method that has none, which nobody trusts. */
function isSmallBodyAhead(request: IncomingMessage): boolean {
  if (!METHODS_WITH_BODY.has(request.method ?? '')) return false;
  const { 'content-length': length, expect } = request.headers;
  if (length === undefined || expect !== undefined || isReceived(request)) return false;
  return Number(length) <= TAKEN_FIRST_BYTES;
}

const saysClose = ({ headers = {} }: Answer): boolean => headers[HEADERS.connection] === 'close';

/** Discards what the client sends until it ends, leaves, or has sent or taken too much. */
function drain(request: IncomingMessage, maxMs = DRAIN_MAX_MS): Promise<void> {
  if (request.destroyed || request.readableEnded) return Promise.resolve();
  return new Promise((resolve) => {
    let bytes = 0;
    const timer = setTimeout(finish, maxMs);
    request.on('data', count);
    request.once('end', finish);
    request.once('close', finish);
    request.resume();

    function count(chunk: Buffer): void {
      bytes += chunk.length;
      if (bytes > DRAIN_MAX_BYTES) finish();
    }
    function finish(): void {
      clearTimeout(timer);
      request.off('data', count);
      request.off('end', finish);
      request.off('close', finish);
      resolve();
    }
  });
}
