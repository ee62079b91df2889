import type { Endpoint } from './store-socket.ts';

interface PooledConnection {
  /** Whether it can be asked now. */
  readonly isUsable: boolean;
  onceClosed(listener: () => void): void;
  destroy(): void;
}

/** How many idle connections are kept for each endpoint. */
const MAX_IDLE = 256;

/** The connections of one kind to stores; those that are free are used again. */
export class StorePool<Connection extends PooledConnection> {
  readonly #make: (endpoint: Endpoint, onFree: () => void) => Connection;
  readonly #open = new Set<Connection>();
  /** By endpoint; the one that was used last is the last. */
  readonly #idle = new Map<string, Connection[]>();

  constructor(make: (endpoint: Endpoint, onFree: () => void) => Connection) {
    this.#make = make;
  }

  /** How many are open, busy or not. */
  get size(): number {
    return this.#open.size;
  }

  /** A free one, the last used first. */
  takeIdle(endpoint: Endpoint): Connection | undefined {
    const idle = this.#idleAt(endpoint);
    for (let known = idle.pop(); known; known = idle.pop()) if (known.isUsable) return known;
    return undefined;
  }

  connect(endpoint: Endpoint): Connection {
    const idle = this.#idleAt(endpoint);
    const connection: Connection = this.#make(endpoint, () => {
      if (idle.length < MAX_IDLE) idle.push(connection);
      else connection.destroy();
    });
    this.#open.add(connection);
    connection.onceClosed(() => {
      this.#open.delete(connection);
      const at = idle.indexOf(connection);
      if (at >= 0) idle.splice(at, 1);
    });
    return connection;
  }

  destroy(): void {
    for (const connection of this.#open) connection.destroy();
  }

  #idleAt({ isTls, host, port }: Endpoint): Connection[] {
    const where = `${isTls} ${host} ${port}`;
    let idle = this.#idle.get(where);
    if (!idle) {
      idle = [];
      this.#idle.set(where, idle);
    }
    return idle;
  }
}
