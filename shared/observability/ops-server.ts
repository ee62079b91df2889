import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Readiness } from './health.ts';
import type { Log, Role } from './observer.ts';

export interface OpsServerOptions {
  readonly role: Role;
  /** Never rejects. */
  readonly readiness: () => Promise<Readiness>;
  readonly renderMetrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly log: Log;
}

export interface OpsServer {
  /** The port it really listens on. */
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/**
 * Serves /livez, /readyz and /metrics beside the registry. Rejects with the system's error (EADDRINUSE) when the port
 * cannot be had.
 */
export async function startOpsServer(
  options: OpsServerOptions,
  host: string,
  port: number,
): Promise<OpsServer> {
  const server = createServer((request, response) => {
    void respond(options, request, response);
  });
  await listen(server, host, port);
  // A connection that cannot be accepted is that one's end alone.
  server.on('error', (error) => {
    options.log.error({ err: error }, 'a connection could not be accepted');
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => close(server),
  };
}

/** Resolves when the server listens; rejects when it cannot. */
function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function respond(
  options: OpsServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  const isHead = request.method === 'HEAD';
  const answer =
    isHead || request.method === 'GET'
      ? await answerFor(options, request.url ?? '').catch(() => json(500, { status: 'error' }))
      : json(405, { status: 'method not allowed' });
  response.writeHead(answer.status, {
    'Content-Type': answer.contentType,
    'Content-Length': Buffer.byteLength(answer.body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(answer.status === 405 ? { Allow: 'GET, HEAD' } : {}),
  });
  response.end(isHead ? undefined : answer.body);
}

async function answerFor(options: OpsServerOptions, url: string): Promise<Answer> {
  const { role } = options;
  switch (url.replace(/\?.*/s, '')) {
    case '/livez':
      return json(200, { status: 'alive', role });
    case '/readyz': {
      const { isReady, state, ...detail } = await options.readiness();
      return json(isReady ? 200 : 503, { status: state, role, ...detail });
    }
    case '/metrics':
      return { status: 200, ...(await options.renderMetrics()) };
    default:
      return json(404, { status: 'not found', paths: ['/livez', '/readyz', '/metrics'] });
  }
}

const json = (status: number, body: object): Answer => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(body)}\n`,
});
