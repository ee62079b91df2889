import type { IncomingMessage } from 'node:http';

import { z } from 'zod';

import type { Identity } from '../auth/identity.ts';
import { sendAnswer } from '../http/answer.ts';
import type { RouteCall } from '../http/answer-route.ts';
import { renderError } from '../http/error-renderer.ts';
import { type HeaderFields, HEADERS } from '../http/headers.ts';
import { parseJsonBody } from '../http/json-request.ts';
import { bodyLength, readBody, RequestBody } from '../http/request-body.ts';
import type { AuditEvent, AuditLog } from '../observability/audit-log.ts';
import { RegistryError, registryError } from '../oci/errors.ts';
import { type Callers, requireClass } from './callers.ts';
import { type Caller, identityOf } from './caller.ts';
import type { AuditSubject, Endpoint, EndpointCall, EndpointReply } from './endpoint.ts';
import type { FoundEndpoint } from './endpoint-table.ts';
import { problemPage } from './pages/page-reply.ts';
import { isFormToken, parseCookies } from './session-cookies.ts';

/** No request of the API needs more. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_PARAMETER_CHARACTERS = 1024;
const FORM_TYPE = 'application/x-www-form-urlencoded';
/** Where requests of scripts have what forms have as a field. */
const FORM_TOKEN_HEADER = 'x-twinport-form';

/** Answers are read by programs, never shown as a page. */
const API_HEADERS: HeaderFields = {
  [HEADERS.contentType]: 'application/json',
  [HEADERS.cacheControl]: 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export interface EndpointAnswering {
  readonly callers: Callers;
  readonly audit: AuditLog | undefined;
}

/** Answers a request of the management API or a page beside it, and tells how many bytes of a body came. */
export async function answerEndpoint(
  found: FoundEndpoint,
  call: RouteCall,
  { callers, audit }: EndpointAnswering,
): Promise<number> {
  const { http, response, origins, signal } = call;
  const endpoint = endpointOf(found, http.method ?? '');
  const body = new RequestBody(http, () => {
    if (http.headers.expect !== undefined) response.writeContinue();
  });
  const { path, search } = targetOf(http);
  // Until the request is understood, which it is not for somebody who may not ask: what it was for.
  const trail: Trail = { actor: undefined, about: { subject: `${endpoint.method} ${path}` } };
  const note = (status: number): void =>
    record(audit, endpoint, trail, { status, address: origins.of(http).address });
  try {
    const cookies = parseCookies(http.headers.cookie);
    const isOpen = endpoint.access === 'open';
    const caller: Caller = isOpen
      ? { kind: 'anonymous' }
      : await callers.of(http, cookies, () => call.admit(endpoint.method !== 'GET'), signal);
    trail.actor = identityOf(caller);
    requireClass(caller, endpoint.access);
    if (endpoint.isOwnPageOnly) callers.requireOwnPage(http);
    const asked: EndpointCall<unknown, unknown, unknown> = {
      parameters: plainParameters(found.parameters),
      query: endpoint.query === 'any' ? {} : parsedQuery(endpoint.query, search),
      body: await parsedBody(endpoint, http, body),
      caller,
      origin: origins.of(http),
      cookies,
      search,
      signal,
    };
    requireFormToken(endpoint, http, asked);
    trail.about = endpoint.audit?.about(asked as Parameters<Endpoint['answer']>[0]) ?? {};
    const reply = await endpoint.answer(asked as Parameters<Endpoint['answer']>[0]);
    trail.actor ??= reply.actor;
    const status = reply.status ?? endpoint.status;
    note(status);
    await sendAnswer(http, response, { status, ...rendered(endpoint, reply) });
  } catch (error) {
    if (response.headersSent) throw error;
    note(renderError(error).status);
    if (!isForPeople(endpoint, error)) throw challenged(error, http);
    const { status, headers } = error;
    const page = rendered(endpoint, problemPage(error));
    await sendAnswer(http, response, { ...page, status, headers: { ...headers, ...page.headers } });
  } finally {
    body.destroy();
  }
  return body.receivedBytes;
}

/** Faults of ours are left to what puts them down. */
const isForPeople = ({ isPage }: Endpoint, error: unknown): error is RegistryError =>
  isPage === true && error instanceof RegistryError && error.status < 500;

function targetOf({ url = '' }: IncomingMessage): {
  readonly path: string;
  readonly search: string;
} {
  const [path = '', search = ''] = url.split('?', 2);
  return { path, search };
}

/** What becomes known of a call on its way. */
interface Trail {
  actor: Identity | undefined;
  about: AuditSubject;
}

function endpointOf({ byMethod }: FoundEndpoint, method: string): Endpoint {
  const endpoint = byMethod.get(method === 'HEAD' ? 'GET' : method);
  if (endpoint) return endpoint;
  const methods = [...byMethod.keys(), ...(byMethod.has('GET') ? ['HEAD'] : [])];
  throw registryError('UNSUPPORTED', { headers: { [HEADERS.allow]: methods.sort().join(', ') } });
}

function plainParameters(parameters: FoundEndpoint['parameters']): unknown {
  for (const value of Object.values(parameters)) {
    if (value.length <= MAX_PARAMETER_CHARACTERS && !/\p{Cc}/u.test(value)) continue;
    throw registryError('NAME_INVALID', { message: 'a part of the path is no name' });
  }
  return parameters;
}

const NOTHING = z.object({});

function parsedQuery(schema: z.ZodObject = NOTHING, search: string): unknown {
  return parsedFields(schema, new URLSearchParams(search), 'the query');
}

function parsedFields(schema: z.ZodObject, fields: URLSearchParams, what: string): unknown {
  const names = [...fields.keys()];
  if (new Set(names).size < names.length) throw badRequest(`${what}: a field is given twice`);
  const result = schema.strict().safeParse(Object.fromEntries(fields));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue?.path.join('.') ?? '';
  throw badRequest(`${place === '' ? what : place}: ${issue?.message ?? 'does not fit'}`);
}

async function parsedBody(
  { body: schema, isPage }: Endpoint,
  http: IncomingMessage,
  body: RequestBody,
): Promise<unknown> {
  if (!schema) return {};
  const type = http.headers['content-type'];
  const bytes = await readBody(body, bodyLength(http), MAX_BODY_BYTES);
  if (!bytes) {
    throw registryError('UNSUPPORTED', {
      status: 413,
      message: `the body is larger than ${MAX_BODY_BYTES} bytes`,
    });
  }
  if (!isPage) return parseJsonBody(type, bytes, schema);
  if (type?.split(';', 1)[0]?.trim().toLowerCase() !== FORM_TYPE) {
    throw registryError('UNSUPPORTED', { status: 415, message: 'the body must be a form' });
  }
  return parsedFields(schema, new URLSearchParams(bytes.toString('utf8')), 'the form');
}

/** Changes that a cookie vouches for come from a page that had to be read for it, whatever a browser says of pages. */
function requireFormToken(
  { method, isPage }: Endpoint,
  { headers }: IncomingMessage,
  { caller, body }: EndpointCall<unknown, unknown, unknown>,
): void {
  if (method === 'GET' || caller.kind !== 'identity' || caller.sessionToken === undefined) return;
  const given = isPage ? (body as { formToken?: string }).formToken : headers[FORM_TOKEN_HEADER];
  if (typeof given === 'string' && isFormToken(given, caller.sessionToken)) return;
  throw registryError('DENIED', {
    message: `a change by a session needs the session's form token`,
  });
}

function rendered(
  { reply: schema }: Endpoint,
  { value, text, headers }: EndpointReply,
): { readonly headers: HeaderFields; readonly body?: string } {
  if (text !== undefined) return { headers: { ...headers }, body: text };
  const shown = schema && { body: `${JSON.stringify(schema.parse(value))}\n` };
  return { headers: { ...API_HEADERS, ...headers }, ...shown };
}

function record(
  audit: AuditLog | undefined,
  endpoint: Endpoint,
  { actor, about }: Trail,
  { status, address }: { readonly status: number; readonly address: string },
): void {
  if (!audit || !endpoint.audit) return;
  // Whoever only learns by it how to sign in.
  if (status === 401 && endpoint.access !== 'open') return;
  audit.record({
    action: endpoint.audit.action,
    result: resultOf(status),
    ...(actor && { actor: { id: actor.id, name: actor.name } }),
    address,
    ...about,
    status,
  });
}

/** A browser that was asked for a password this way would ask people in a window of its own. */
function challenged(error: unknown, { headers }: IncomingMessage): unknown {
  const isBrowser = headers['sec-fetch-site'] !== undefined;
  if (!(error instanceof RegistryError) || error.status !== 401 || isBrowser) return error;
  if (error.headers['WWW-Authenticate'] !== undefined) return error;
  const { code, message, cause } = error;
  return registryError(code, {
    message,
    cause,
    headers: { 'WWW-Authenticate': 'Basic realm="Twinport",charset="UTF-8"' },
  });
}

function resultOf(status: number): AuditEvent['result'] {
  if (status < 400) return 'done';
  return status === 401 || status === 403 || status === 404 || status === 429 ? 'denied' : 'failed';
}

const badRequest = (message: string): Error =>
  registryError('UNSUPPORTED', { status: 400, message: message.slice(0, 300) });
