import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

export interface RawServerTls {
  readonly cert: string;
  readonly key: string;
}

/** A server of connections that a test reads and writes itself, so that it may answer whatever it likes. */
export class RawServer {
  readonly server: Server;
  /** Those that are open: of TLS what is below it. */
  readonly sockets = new Set<Socket>();
  /** How many there were. */
  connections = 0;

  constructor(serve: (socket: Socket) => void, tls?: RawServerTls) {
    this.server = tls ? createTlsServer({ ...tls }) : createServer();
    this.server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
    });
    this.server.on('tlsClientError', () => undefined);
    this.server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      socket.on('error', () => undefined);
      serve(socket);
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** On a free port, or one that it had before. */
  async listen(port = 0): Promise<this> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  /** Ends all connections too. */
  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
