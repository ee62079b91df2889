import { Agent, type ClientRequestArgs } from 'node:http';
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';

/** Twice what Node reads at once by itself: fewer calls for large bodies. */
const BUFFER_BYTES = 128 * 1024;

/**
 * Connections that all read into one buffer. Node would take fresh memory for each read, although its HTTP parser
 * copies what belongs to a body before it returns, and nothing else is kept. Over TLS Node reads as ever.
 */
export class SharedReadsAgent extends Agent {
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

  override createConnection(options: ClientRequestArgs): Socket {
    const socket: Socket = connect({
      ...(options as TcpNetConnectOpts),
      onread: {
        buffer: this.#buffer,
        callback: (bytes) => {
          socket.emit('data', this.#buffer.subarray(0, bytes));
          return true;
        },
      },
    });
    return socket;
  }
}
