import type { PeerMessage } from './peer.ts';

/** How a process ended, as the system says it. */
export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A process that was started to be a worker. */
export interface WorkerProcess {
  readonly pid: number;
  /** Nothing happens when it is gone. */
  send(message: PeerMessage): void;
  onMessage(listener: (message: PeerMessage) => void): void;
  readonly ended: Promise<WorkerEnd>;
  kill(): void;
}
