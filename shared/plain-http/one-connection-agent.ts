import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

/** Has one connection, for one request. */
export class OneConnectionAgent extends Agent {
  readonly #connection: Duplex;

  constructor(connection: Duplex) {
    super({ keepAlive: false });
    this.#connection = connection;
  }

  override createConnection(): Duplex {
    return this.#connection;
  }
}
