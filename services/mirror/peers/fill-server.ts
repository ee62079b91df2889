import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { Log } from '../../../shared/observability/observer.ts';
import type { FillOffer, OfferedFills } from '../fill/offered-fills.ts';
import { parseQuestion, STATUS_OF, TOTAL_BYTES_HEADER } from './fill-question.ts';
import type { PeerSecret } from './peer-secret.ts';
import { SignatureCheck } from './request-signature.ts';

export interface FillServerOptions {
  readonly fills: OfferedFills;
  readonly secret: PeerSecret;
  readonly clock: Clock;
  readonly log: Log;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Where the other processes reach it; undefined: on this machine alone, under the port that it gets. */
  readonly url: string | undefined;
}

export interface FillServer {
  /** What the others are told. */
  readonly url: string;
  /** Breaks off what runs. */
  close(): Promise<void>;
}

const HEADERS_MS = 5_000;
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_CONNECTIONS = 2_048;
/** A follower that takes nothing for this long is gone or hangs. */
const STALL_MS = 30_000;

/**
 * Serves this process's fills to the other processes of the store, on a port of its own. Whoever does not sign a request
 * with their secret is refused, whatever it asks for. Rejects with the system's error when the port cannot be had.
 */
export async function startFillServer(options: FillServerOptions): Promise<FillServer> {
  const { host, port, log } = options;
  const server = createServer(
    { headersTimeout: HEADERS_MS, requestTimeout: HEADERS_MS, maxHeaderSize: MAX_HEADER_BYTES },
    (request, response) => {
      answer.serve(request, response).catch((error: unknown) => {
        log.debug({ operation: 'fill.serve', err: error }, 'a follower was cut off');
        response.destroy();
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(STALL_MS, (socket) => {
    if (socket.writableLength > 0) socket.destroy();
    else socket.setTimeout(STALL_MS);
  });
  await listen(server, host, port);
  // A connection that cannot be accepted (too many open files) is that one's end alone.
  server.on('error', (error) => log.error({ err: error }, 'a connection could not be accepted'));
  const address = server.address() as AddressInfo;
  const url =
    options.url === undefined
      ? `http://127.0.0.1:${address.port}`
      : urlAt(options.url, options, address);
  const answer = new FillAnswers(options, new URL(url).host);
  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** A port that the system chose takes the place of the one in the URL. */
function urlAt(url: string, { port }: FillServerOptions, address: AddressInfo): string {
  const published = new URL(url);
  if (port === 0) published.port = String(address.port);
  return published.origin;
}

class FillAnswers {
  readonly #options: FillServerOptions;
  readonly #audience: string;
  readonly #signatures: SignatureCheck;

  constructor(options: FillServerOptions, audience: string) {
    this.#options = options;
    this.#audience = audience;
    this.#signatures = new SignatureCheck(options.clock);
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!(await this.#isSigned(request))) {
      // One answer for all that is wrong: nobody learns what is here, or how close it came.
      refuse(response, STATUS_OF.refused);
      return;
    }
    const question = parseQuestion(request.url ?? '');
    const offer = question && (await this.#options.fills.open(question));
    if (offer?.kind === 'following') await send(offer, response);
    else refuse(response, STATUS_OF[offer?.kind ?? 'absent']);
  }

  async #isSigned({ method, url = '', headers }: IncomingMessage): Promise<boolean> {
    const { secret } = this.#options;
    const { authorization } = headers;
    if (method !== 'GET' || authorization === undefined) return false;
    const signed = { audience: this.#audience, path: url };
    const known = await secret.current();
    if (this.#signatures.accepts(known, signed, authorization)) return true;
    const newer = await secret.reread();
    return newer !== known && this.#signatures.accepts(newer, signed, authorization);
  }
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'Content-Length': 0, Connection: 'close' }).end();
}

/** The bytes; the end of the answer comes when the blob is stored, or cannot be. */
async function send(
  { totalBytes, body, over }: Extract<FillOffer, { kind: 'following' }>,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(200, { [TOTAL_BYTES_HEADER]: totalBytes, 'Cache-Control': 'no-store' });
  response.flushHeaders();
  response.once('close', () => body.destroy());
  await body.copyTo(response);
  await over;
  response.end();
}
