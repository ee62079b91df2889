import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to a server on loopback that a test can close. */
export interface TcpProxy {
  readonly port: number;
  /** Nothing passes any more in either direction; connections stay open, what was sent waits. */
  block(): void;
  /** Connections are broken off and new ones too. */
  cut(): void;
  /** Everything passes again, what waited first. */
  open(): void;
  /** New connections go there; the old ones are broken off. */
  retarget(port: number): void;
  close(): Promise<void>;
}

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  let target = targetPort;
  let state: 'open' | 'blocked' | 'cut' = 'open';
  const pairs = new Set<readonly [Socket, Socket]>();
  const breakOff = (): void => {
    for (const [client, server] of pairs) {
      client.destroy();
      server.destroy();
    }
  };
  const listener = createServer((client) => {
    if (state === 'cut') {
      client.destroy();
      return;
    }
    const server = connect(target, '127.0.0.1');
    const pair = [client, server] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [server, client] as const]) {
      from.setNoDelay(true);
      if (state === 'blocked') from.pause();
      from.on('data', (chunk) => void to.write(chunk));
      from.on('error', () => undefined);
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
      if (state === 'blocked') from.pause();
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    block: () => {
      state = 'blocked';
      for (const socket of [...pairs].flat()) socket.pause();
    },
    cut: () => {
      state = 'cut';
      breakOff();
    },
    open: () => {
      state = 'open';
      for (const socket of [...pairs].flat()) socket.resume();
    },
    retarget: (port) => {
      target = port;
      breakOff();
    },
    close: async () => {
      breakOff();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
