import type { IncomingMessage, ServerResponse } from 'node:http';

import { registryError } from '../oci/errors.ts';
import type { Admission } from './admission.ts';
import { sendAnswer } from './answer.ts';
import type { ApiRoute, OpenRoute } from './api-route.ts';
import type { ClientOrigins } from './client-origin.ts';
import { HEADERS } from './headers.ts';
import { signedRequest } from './admission.ts';
import { bodyLength, readBody, RequestBody } from './request-body.ts';

export interface RouteCall {
  readonly http: IncomingMessage;
  readonly response: ServerResponse;
  readonly origins: ClientOrigins;
  /** Finds out who asks; `isLasting` as SignedRequest has it. */
  readonly admit: (isLasting?: boolean) => Promise<Admission>;
  readonly signal: AbortSignal;
}

/** Answers a request of our own API as JSON, and tells how many bytes of a body came. Throws RegistryError. */
export async function answerRoute(route: ApiRoute | OpenRoute, call: RouteCall): Promise<number> {
  const { http, response, signal } = call;
  const { methods = ['GET', 'HEAD'] } = route;
  if (!methods.includes(http.method ?? '')) {
    throw registryError('UNSUPPORTED', { headers: { [HEADERS.allow]: methods.join(', ') } });
  }
  const body = new RequestBody(http, () => {
    if (http.headers.expect !== undefined) response.writeContinue();
  });
  try {
    const question = {
      method: http.method ?? '',
      query: new URLSearchParams((http.url ?? '').split('?', 2)[1]),
      contentType: http.headers['content-type'],
      readBody: (maxBytes: number) => requireBody(http, body, maxBytes),
      signal,
    };
    const answer = await ask(route, question, call);
    await sendAnswer(http, response, {
      status: 200,
      headers: {
        [HEADERS.contentType]: 'application/json',
        [HEADERS.cacheControl]: 'no-store',
        ...route.headers,
      },
      body: `${JSON.stringify(answer)}\n`,
    });
  } finally {
    body.destroy();
  }
  return body.receivedBytes;
}

type Question = Omit<Parameters<OpenRoute['answerAnybody']>[0], 'request'>;

async function ask(
  route: ApiRoute | OpenRoute,
  question: Question,
  { http, origins, admit }: RouteCall,
): Promise<unknown> {
  if ('answerAnybody' in route) {
    return await route.answerAnybody({ ...question, request: signedRequest(http, origins) });
  }
  const admission = await admit();
  return await route.answer({
    ...question,
    principal: admission.principal,
    allows: admission.allows,
    demand: (asked) => admission.demand(asked),
  });
}

async function requireBody(
  http: IncomingMessage,
  body: RequestBody,
  maxBytes: number,
): Promise<Buffer> {
  const bytes = await readBody(body, bodyLength(http), maxBytes);
  if (bytes) return bytes;
  throw registryError('UNSUPPORTED', {
    status: 413,
    message: `the body is larger than ${maxBytes} bytes`,
  });
}
