import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import express from 'express';

import type { AuditLog } from '../observability/audit-log.ts';
import { describeReason } from '../observability/describe-reason.ts';
import { RegistryError, registryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/reference.ts';
import {
  allowedMethods,
  parseV2Request,
  type V2Operation,
  type V2Request,
} from '../oci/v2-path.ts';
import { Admission, type AdmissionOptions, signedRequest } from './admission.ts';
import { answerRoute, type RouteCall } from './answer-route.ts';
import type { ApiRoutes } from './api-route.ts';
import { isAnswered, sendAnswer } from './answer.ts';
import { ClientOrigins } from './client-origin.ts';
import type { EndpointApi } from './endpoint-api.ts';
import { renderError, sendError } from './error-renderer.ts';
import { HEADERS } from './headers.ts';
import { RequestAudit, type RequestTrace, untraced } from './request-audit.ts';
import { RequestLog, type RequestFacts, type RequestLogOptions } from './request-log.ts';
import { requireIdentityEncoding, requirePlainRequest } from './require-plain-request.ts';
import { requiredAccess } from './required-access.ts';
import { V2Exchange, type V2Handlers } from './v2-exchange.ts';

export interface V2AppOptions extends RequestLogOptions, AdmissionOptions {
  readonly handlers: V2Handlers;
  /** Beside the distribution API. */
  readonly routes?: ApiRoutes;
  /** Asked for paths that no route has. */
  readonly api?: EndpointApi | undefined;
  /** Refuses whole kinds of requests, before anybody is asked who they are and before the body is read. */
  readonly refuse?: (request: V2Request) => RegistryError | undefined;
  /** Keeps a record of who changed what; without it nobody does. */
  readonly audit?: AuditLog | undefined;
  /** The name that rights to what is pulled are asked for where a request has an `ns`; without it, the one of its path. */
  readonly accessName?: (
    pulled: { readonly name: RepositoryName; readonly namespace: string },
    signal: AbortSignal,
  ) => string | Promise<string>;
}

/** Of a role without identities, where nobody looks at it. */
const UNPROXIED = new ClientOrigins({ trustedProxies: [], allowsInsecure: true });

/**
 * The HTTP edge of a role: express as a frame, one entry that parses the raw request target once, checks rights and
 * hands typed requests to handlers. Every request ends in exactly one answer (or a cut connection), one log line and
 * one observation. Requests of the distribution API go to their entry directly: express would change the prototypes
 * of request and response, which costs more than all the rest of a small answer.
 */
export function createV2App(options: V2AppOptions): RequestListener {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', false);
  app.enable('case sensitive routing');
  app.enable('strict routing');
  const edge = new V2Edge(options);
  app.use((request, response) => edge.serve(request, response));
  return (request, response) => {
    if (request.url?.startsWith('/v2/') === true) void edge.serve(request, response);
    else app(request, response);
  };
}

interface Beside {
  readonly operation: RequestFacts['operation'];
  readonly answer: (call: RouteCall) => Promise<number>;
}

class V2Edge {
  readonly #options: V2AppOptions;
  readonly #requestLog: RequestLog;
  readonly #audit: RequestAudit | undefined;

  constructor(options: V2AppOptions) {
    this.#options = options;
    this.#requestLog = new RequestLog(options);
    const { audit, identities } = options;
    this.#audit = audit && new RequestAudit(audit, identities?.origins ?? UNPROXIED);
  }

  async serve(http: IncomingMessage, response: ServerResponse): Promise<void> {
    if (http.url === '/' && (http.method === 'GET' || http.method === 'HEAD')) {
      await sendAnswer(http, response, { status: 200 });
      return;
    }
    const facts: RequestFacts = { operation: 'unknown', method: http.method ?? '', bytesIn: 0 };
    const client = watchClient(http, response, this.#requestLog.begin(facts));
    const trace = untraced();
    try {
      await this.#handle(http, response, { facts, trace }, client.signal);
      this.#audit?.note(http, facts, trace, response.statusCode);
    } catch (error) {
      this.#audit?.note(http, facts, trace, renderError(error).status);
      await this.#fail(http, response, error, { facts, client });
    }
  }

  async #handle(
    http: IncomingMessage,
    response: ServerResponse,
    { facts, trace }: { readonly facts: RequestFacts; readonly trace: RequestTrace },
    signal: AbortSignal,
  ): Promise<void> {
    requirePlainRequest(http);
    // Without a turn of waiting for everything else: an answer that is ready at once goes out before the parser reads on.
    const beside = this.#beside(pathOf(http));
    if (beside) {
      facts.operation = beside.operation;
      const origins = this.#options.identities?.origins ?? UNPROXIED;
      const admit = (isLasting?: boolean): Promise<Admission> =>
        this.#admit(http, signal, isLasting);
      facts.bytesIn = await beside.answer({ http, response, origins, admit, signal });
      return;
    }
    const request = parseV2Request(facts.method, http.url ?? '');
    note(facts, request);
    const refusal = this.#options.refuse?.(request);
    if (refusal) throw refusal;
    requireIdentityEncoding(http);
    const { access, handlers, identities } = this.#options;
    const operation = request.operation;
    if (operation === 'unknown' || !handlers[operation]) throw this.#notAllowed(request);

    const admission = identities
      ? await this.#admit(http, signal)
      : Admission.ofAnybody(access, signal);
    trace.principal = admission.principal;
    if (identities && operation === 'base') admission.demandSomebody();
    const pulledName = request.query.has('ns')
      ? await this.#pulledName(request, signal)
      : undefined;
    const required = requiredAccess(request, operation, pulledName);
    // Not even a turn of the event loop where there is nothing to decide: see above.
    if (required.length > 0) await admission.demand(required);
    const { principal, allows } = admission;
    // The handler of an operation takes the request of that operation: both were looked up by the same word.
    const handler = handlers[operation] as (exchange: V2Exchange) => Promise<void>;
    const exchange = new V2Exchange(request, { http, response, principal, allows, signal });
    try {
      await handler(exchange);
    } finally {
      facts.bytesIn = exchange.closeBody();
      trace.digest = exchange.sentHeader(HEADERS.contentDigest);
    }
  }

  async #pulledName(request: V2Request, signal: AbortSignal): Promise<string | undefined> {
    const namespace = request.query.get('ns') ?? '';
    if (namespace === '' || !('name' in request)) return undefined;
    const { name } = request;
    return await this.#options.accessName?.({ name, namespace }, signal);
  }

  /** What answers a path that is none of the distribution API. */
  #beside(path: string): Beside | undefined {
    const { routes, api } = this.#options;
    const route = routes?.get(path);
    if (route) {
      return { operation: route.operation, answer: (call) => answerRoute(route, call) };
    }
    const found = path.startsWith('/v2') ? undefined : api?.find(path);
    return found && { operation: 'api', answer: (call) => found.answer(call) };
  }

  async #admit(http: IncomingMessage, signal: AbortSignal, isLasting = false): Promise<Admission> {
    const { access, identities } = this.#options;
    if (!identities) return Admission.ofAnybody(access, signal);
    const request = { ...signedRequest(http, identities.origins), isLasting };
    return await Admission.of(request, identities, access, signal);
  }

  #notAllowed(request: V2Request): RegistryError {
    const { handlers } = this.#options;
    const methods = allowedMethods(request.resource, (operation: V2Operation) =>
      Object.hasOwn(handlers, operation),
    );
    return registryError('UNSUPPORTED', { headers: { [HEADERS.allow]: methods.join(', ') } });
  }

  async #fail(
    http: IncomingMessage,
    response: ServerResponse,
    error: unknown,
    { facts, client }: { facts: RequestFacts; client: WatchedClient },
  ): Promise<void> {
    if (client.signal.aborted) return;
    const isAnswerBegun = response.headersSent;
    const rendered = renderError(error);
    if (rendered.isFault || isAnswerBegun) {
      const { operation, repository, reference } = facts;
      const fields = { operation, repository, reference };
      const message = isAnswerBegun ? 'the answer was broken off' : 'the request failed';
      // What the domain tells a client by itself is understood: its sentence is enough, and nobody need wake up.
      if (error instanceof RegistryError) {
        this.#options.log.warn({ ...fields, reason: describeReason(error) }, message);
      } else this.#options.log.error({ ...fields, err: error }, message);
    }
    if (isAnswerBegun) client.blameServer();
    await sendError(http, response, rendered);
  }
}

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] ?? '';

interface WatchedClient {
  /** Aborts when the client closes the connection before its answer is complete. */
  readonly signal: AbortSignal;
  /** From here on a closed connection is our doing. */
  blameServer(): void;
}

function watchClient(
  http: IncomingMessage,
  response: ServerResponse,
  end: ReturnType<RequestLog['begin']>,
): WatchedClient {
  const { socket } = http;
  const bytesBefore = socket.bytesWritten;
  const gone = controllerOf(socket);
  let isOurDoing = false;
  // A write that comes after the client has left is reported here; that it has left is told by the signal.
  response.on('error', () => undefined);
  response.once('close', () => {
    const isClientGone = !isAnswered(response) && !response.errored && !isOurDoing;
    end({
      status: response.statusCode,
      bytesOut: socket.bytesWritten - bytesBefore,
      isClientGone,
    });
    if (isClientGone) gone.abort(new Error('the client closed the connection'));
  });
  return {
    signal: gone.signal,
    blameServer: () => {
      isOurDoing = true;
    },
  };
}

const controllers = new WeakMap<Socket, AbortController>();

/** One for all requests of a connection, which are served in turn: it aborts only when the connection is gone. */
function controllerOf(socket: Socket): AbortController {
  let controller = controllers.get(socket);
  if (!controller) {
    controller = new AbortController();
    controllers.set(socket, controller);
  }
  return controller;
}

function note(facts: RequestFacts, request: V2Request): void {
  facts.operation = request.operation;
  if ('name' in request) facts.repository = request.name;
  if ('digest' in request) facts.reference = request.digest;
  if ('reference' in request) {
    const { reference } = request;
    facts.reference = reference.kind === 'tag' ? reference.tag : reference.digest;
  }
}
