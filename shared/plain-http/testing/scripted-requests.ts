import type { Socket } from 'node:net';

/** What is done with a request for `target`. */
export type Script = (socket: Socket, target: string) => void;

/** Requests without bodies, each answered as a test says. */
export class ScriptedRequests {
  /** For each request in turn; the last one serves all that follow. */
  scripts: Script[] = [];
  /** The heads of all so far. */
  readonly seen: string[] = [];

  readonly serve = (socket: Socket): void => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        this.seen.push(head);
        const script = this.scripts.length > 1 ? this.scripts.shift() : this.scripts[0];
        script?.(socket, head.split(' ')[1] ?? '');
      }
    });
  };
}
