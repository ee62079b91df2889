import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Access, Principal } from '../auth/access.ts';
import type { V2Operation, V2Request, V2RequestOf } from '../oci/v2-path.ts';
import { type Answer, sendAnswer } from './answer.ts';
import { RequestBody } from './request-body.ts';

export interface V2ExchangeParts {
  readonly http: IncomingMessage;
  readonly response: ServerResponse;
  readonly principal: Principal;
  readonly allows: (access: Access) => Promise<boolean>;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** One request of the distribution API and the answer to it, as its handler sees them. */
export class V2Exchange<Request = V2Request> {
  readonly request: Request;
  readonly http: IncomingMessage;
  readonly response: ServerResponse;
  readonly principal: Principal;
  readonly signal: AbortSignal;
  #body: RequestBody | undefined;
  #sent: Answer | undefined;
  /** Whether the principal has a right beyond that which the operation itself needs. */
  readonly allows: (access: Access) => Promise<boolean>;

  constructor(request: Request, parts: V2ExchangeParts) {
    this.request = request;
    this.http = parts.http;
    this.response = parts.response;
    this.principal = parts.principal;
    this.allows = parts.allows;
    this.signal = parts.signal;
  }

  /** The request's body. A client that waits for leave to send it (RFC 9110, 10.1.1) gets it at the first read. */
  get body(): RequestBody {
    this.#body ??= new RequestBody(this.http, () => {
      if (this.http.headers.expect !== undefined) this.response.writeContinue();
    });
    return this.#body;
  }

  /** Lets go of the body, if anybody took it, and tells how many bytes of it came. */
  closeBody(): number {
    this.#body?.destroy();
    return this.#body?.receivedBytes ?? 0;
  }

  /** A request header that may stand once; several lines are joined by commas. */
  header(name: string): string | undefined {
    const value = this.http.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** A header of the answer that was sent whole; undefined when there was none, or it had no such header. */
  sentHeader(name: string): string | undefined {
    const value = this.#sent?.headers?.[name];
    return typeof value === 'string' ? value : undefined;
  }

  send(answer: Answer): Promise<void> {
    this.#sent = answer;
    return sendAnswer(this.http, this.response, answer);
  }
}

export type V2Handler<Operation extends V2Operation> = (
  exchange: V2Exchange<V2RequestOf<Operation>>,
) => Promise<void>;

/** The operations a role has; what is not there is answered 405. */
export type V2Handlers = { readonly [Operation in V2Operation]?: V2Handler<Operation> };
