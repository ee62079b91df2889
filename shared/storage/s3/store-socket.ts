import { connect, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Where a connection leads. */
export interface Endpoint {
  readonly isTls: boolean;
  readonly host: string;
  readonly port: number;
}

/** What the SDK's requests say about where they go. */
interface Target {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
}

const KEEP_ALIVE_PROBE_MS = 1_000;

export function endpointOf({ protocol, hostname, port }: Target): Endpoint {
  const isTls = protocol === 'https:';
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  return { isTls, host, port: port ?? (isTls ? 443 : 80) };
}

/** Connects; what is read goes to `onread`. Whoever opens it listens for its close, which tells of its errors too. */
export function openStoreSocket({ isTls, host, port }: Endpoint, onread: OnReadOpts): Socket {
  const options = { host, port, onread };
  const socket = isTls
    ? connectTls(Object.assign(options, { servername: isIP(host) === 0 ? host : '' }))
    : connect(options);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
  socket.on('error', () => undefined);
  return socket;
}
