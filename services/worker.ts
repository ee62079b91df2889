/** A worker of a program with several (WORKERS): started by the program itself, and told by it what to do. */
import type { PeerMessage } from './cluster/peer.ts';
import { runWorker } from './cluster/run-worker.ts';

// The terminal, and some service managers, signal every process of the program; the first one tells the others.
process.on('SIGTERM', () => undefined);
process.on('SIGINT', () => undefined);

runWorker({
  send: (message) => {
    // Whether it arrives or not: without the primary process this one ends.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  },
  onMessage: (listener) => {
    process.on('message', (message) => listener(message as PeerMessage));
  },
  exit: (code) => process.exit(code),
});
