import diagnostics from 'node:diagnostics_channel';
import type { Server } from 'node:http';

/** The server of this process that answers the request which is sent by `ask`. */
export async function serverThatAnswers(ask: () => Promise<unknown>): Promise<Server> {
  const { promise, resolve } = Promise.withResolvers<Server>();
  const onStart = (message: unknown): void => {
    resolve((message as { readonly server: Server }).server);
  };
  diagnostics.subscribe('http.server.request.start', onStart);
  try {
    await ask();
    return await promise;
  } finally {
    diagnostics.unsubscribe('http.server.request.start', onStart);
  }
}
