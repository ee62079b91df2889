import cluster from 'node:cluster';
import { extname, join } from 'node:path';

import type { PeerMessage } from './peer.ts';
import type { WorkerEnd, WorkerProcess } from './worker-process.ts';

/** The script beside this program's other ones, compiled or not. */
const SCRIPT = join(import.meta.dirname, '..', `worker${extname(import.meta.filename)}`);

/**
 * Starts a worker. Node's cluster is the means, for the systems where it must share the ports; where the workers listen
 * for themselves it does nothing for them, except that they end with this process.
 */
export function launchWorker(): WorkerProcess {
  cluster.setupPrimary({ exec: SCRIPT, args: [], serialization: 'advanced' });
  const worker = cluster.fork();
  const ended = Promise.withResolvers<WorkerEnd>();
  worker.process.once('exit', (code, signal) => ended.resolve({ code, signal }));
  // A process that could not be started, or messages to one that has just died: `ended` tells.
  worker.process.on('error', () => {
    if (worker.process.pid === undefined) ended.resolve({ code: null, signal: null });
  });
  return {
    pid: worker.process.pid ?? -1,
    send: (message) => void worker.process.send(message, () => undefined),
    onMessage: (listener) => {
      worker.process.on('message', (message) => listener(message as PeerMessage));
    },
    ended: ended.promise,
    kill: () => void worker.process.kill('SIGKILL'),
  };
}
