import { connect } from 'node:net';

/** What came back on one connection. */
export interface RawAnswer {
  /** The status of every answer in its order, interim ones aside. */
  readonly statuses: readonly number[];
  readonly text: string;
  /** False when the server left the connection open. */
  readonly isClosed: boolean;
}

/**
 * Sends bytes as they stand and collects what comes back until the server closes the connection. One that stays open
 * is left after `quietMs` in which nothing came.
 */
export async function rawExchange(
  url: string,
  bytes: string | Buffer,
  quietMs = 5_000,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return await new Promise<RawAnswer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let isClosed = false;
    const socket = connect(Number(port), hostname, () => {
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    });
    socket.setTimeout(quietMs, () => socket.destroy());
    socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
    socket.on('end', () => {
      isClosed = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // A server that closes with bytes unread resets the connection.
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') isClosed = true;
      else reject(error);
    });
    socket.on('close', () => {
      const text = Buffer.concat(chunks).toString('latin1');
      const statuses = Array.from(text.matchAll(/HTTP\/1\.[01] (\d{3})[ \r]/g), ([, code]) =>
        Number(code),
      ).filter((status) => status >= 200);
      resolve({ statuses, text, isClosed });
    });
  });
}
