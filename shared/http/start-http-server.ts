import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import type { Log } from '../observability/observer.ts';
import { IdleWatch, isClientsTurn } from './idle-watch.ts';
import { type Listener, RequestTurns } from './request-turns.ts';
import { readTlsFiles, type TlsFiles, type TlsWatch, watchTlsFiles } from './tls-files.ts';

/** Longer than the idle time of common load balancers (60 s), which would else reuse a connection as we close it. */
const KEEP_ALIVE_MS = 65_000;
const HEADERS_MS = 60_000;
/** Holds the longest name and a hundred tags; more is answered 431. */
const MAX_HEADER_BYTES = 32 * 1024;
const TLS_RELOAD_MS = 10_000;
const CLOSE_IDLE_MS = 50;
const NO_TUNNELS = 'HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

export interface HttpServerOptions {
  /** An express app, or any listener. */
  readonly app: Listener;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
  readonly idleTimeoutSeconds: number;
  readonly log: Log;
  readonly tlsReloadMs?: number;
  /** Other processes of this user may listen at the same port: the system spreads connections among them. */
  readonly sharesPort?: boolean;
}

export interface HttpServer {
  readonly port: number;
  /** Takes no new connections, lets running requests end for at most `graceMs`, then cuts the rest. */
  close(graceMs: number): Promise<void>;
}

/**
 * Listens for HTTP, or HTTPS when there are TLS files, which are read again when they change. No limit ends a request
 * that makes progress, however long it takes; a connection whose client owes bytes, or takes none, for
 * `idleTimeoutSeconds` is closed, as is one that crawls. Requests of one connection are served one after the other.
 * Rejects when the port is taken or the TLS files are unusable.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { server, watch } = await createListener(options);
  let isClosing = false;
  const turns = new RequestTurns((request, response) => {
    // Bytes after a request to upgrade are another protocol's for Node, and lost: the next request needs a connection.
    if (isClosing || request.headers.upgrade !== undefined) {
      response.setHeader('Connection', 'close');
    }
    options.app(request, response);
  });
  const idleWatch = new IdleWatch(turns.current, options.idleTimeoutSeconds);

  const serve: Listener = (request, response) => turns.take(request, response);
  server.on('request', serve);
  // Without this listener Node would tell the client to send a body that may be refused.
  server.on('checkContinue', serve);
  server.on('connect', refuseTunnel);
  server.setTimeout(options.idleTimeoutSeconds * 1000, (socket: Socket) => {
    const turn = turns.current.get(socket);
    if (!turn || isClientsTurn(socket, turn)) socket.destroy();
    else socket.setTimeout(options.idleTimeoutSeconds * 1000);
  });

  try {
    await listen(server, options);
  } catch (error) {
    watch?.close();
    idleWatch.close();
    throw error;
  }
  // A connection that cannot be accepted (too many open files) is that one's end alone.
  server.on('error', (error) => {
    options.log.error({ err: error }, 'a connection could not be accepted');
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async (graceMs) => {
      isClosing = true;
      watch?.close();
      await closeServer(server, graceMs);
      idleWatch.close();
    },
  };
}

/** Node has let go of the socket by now: whatever becomes of it has to be watched here. */
function refuseTunnel(_request: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => undefined);
  socket.end(NO_TUNNELS, () => socket.destroy());
}

async function createListener(
  options: HttpServerOptions,
): Promise<{ server: Server | TlsServer; watch: TlsWatch | undefined }> {
  const limits = {
    requestTimeout: 0,
    headersTimeout: HEADERS_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  if (!options.tls) return { server: createServer(limits), watch: undefined };
  const current = await readTlsFiles(options.tls);
  const server = createTlsServer({ ...limits, ...current });
  const watch = watchTlsFiles({
    files: options.tls,
    current,
    intervalMs: options.tlsReloadMs ?? TLS_RELOAD_MS,
    apply: (context) => {
      server.setSecureContext(context);
      options.log.info({}, 'the TLS certificate was reloaded');
    },
    onProblem: (error) => {
      options.log.warn({ err: error }, 'the TLS files cannot be used, the last ones stay in use');
    },
  });
  return { server, watch };
}

function listen(server: Server, { host, port, sharesPort }: HttpServerOptions): Promise<void> {
  // SO_REUSEPORT: the system gives each process a queue of its own, and resets only what waits in that of a dead one.
  // Elsewhere than on Linux Node's cluster shares the port.
  const reusePort = sharesPort === true && process.platform === 'linux';
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, reusePort }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Connections that become idle only now would else stay for their keep-alive time. */
async function closeServer(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const idle = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_MS);
  const grace = setTimeout(() => server.closeAllConnections(), graceMs);
  try {
    await closed;
  } finally {
    clearInterval(idle);
    clearTimeout(grace);
  }
}
