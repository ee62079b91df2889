import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

import type { Turn } from './request-turns.ts';

/** Slower than any line that a container image is pulled or pushed over. */
const MIN_BYTES_PER_SECOND = 100;

/**
 * Cuts connections whose client holds them up: in a whole idle time it let fewer than 100 bytes a second pass while it
 * was its turn to send or to take. Who waits for us, or for the store, is never cut.
 */
export class IdleWatch {
  readonly #current: ReadonlyMap<Socket, Turn>;
  readonly #minBytes: number;
  readonly #timer: NodeJS.Timeout;
  #seen = new Map<Socket, { readonly request: IncomingMessage; readonly bytes: number }>();

  constructor(current: ReadonlyMap<Socket, Turn>, idleTimeoutSeconds: number) {
    this.#current = current;
    this.#minBytes = idleTimeoutSeconds * MIN_BYTES_PER_SECOND;
    this.#timer = setInterval(this.#look, idleTimeoutSeconds * 1000).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  readonly #look = (): void => {
    const before = this.#seen;
    this.#seen = new Map();
    for (const [socket, turn] of this.#current) {
      if (!isClientsTurn(socket, turn)) continue;
      const { request } = turn;
      const bytes = socket.bytesRead + socket.bytesWritten;
      const last = before.get(socket);
      if (last?.request === request && bytes - last.bytes < this.#minBytes) socket.destroy();
      else this.#seen.set(socket, { request, bytes });
    }
  };
}

/** Silence is the client's fault when we wait for its bytes or it does not take ours, not while we work. */
export function isClientsTurn(socket: Socket, { request }: Turn): boolean {
  return socket.writableLength > 0 || (!request.complete && request.readableFlowing === true);
}
