import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that may wait on one connection; proxies and registry clients send none ahead of its turn. */
const MAX_WAITING = 32;

export type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** One request and its answer. */
export interface Turn {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * Hands the requests of one connection on one after the other, however many were sent at once (RFC 9112, 9.3.2): Node
 * starts them all, so that one connection could open hundreds of files whose bytes nobody takes. A request whose
 * connection is closed after the answer before it is never begun.
 */
export class RequestTurns {
  readonly #serve: Listener;
  readonly #turns = new Map<Socket, Turn>();
  readonly #waiting = new Map<Socket, Turn[]>();

  constructor(serve: Listener) {
    this.#serve = serve;
  }

  /** What is being answered at present, by its connection. */
  get current(): ReadonlyMap<Socket, Turn> {
    return this.#turns;
  }

  /** Serves the request now or when its turn comes. Cuts a connection on which too many wait. */
  take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    if (!this.#turns.has(socket)) {
      this.#begin(socket, { request, response });
      return;
    }
    const waiting = this.#waiting.get(socket) ?? [];
    waiting.push({ request, response });
    this.#waiting.set(socket, waiting);
    if (waiting.length > MAX_WAITING) socket.destroy();
  }

  #begin(socket: Socket, turn: Turn): void {
    this.#turns.set(socket, turn);
    turn.response.once('close', () => {
      this.#turns.delete(socket);
      this.#beginNext(socket);
    });
    this.#serve(turn.request, turn.response);
  }

  #beginNext(socket: Socket): void {
    const waiting = this.#waiting.get(socket);
    if (!waiting) return;
    const next = waiting.shift();
    if (waiting.length === 0) this.#waiting.delete(socket);
    // Node has given the connection to the next answer by now, unless it is about to close it.
    if (next?.response.socket && !socket.destroyed) this.#begin(socket, next);
    else this.#waiting.delete(socket);
  }
}
