import { type AgentOptions, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';

import { NodeHttpHandler, type NodeHttpHandlerOptions } from '@smithy/node-http-handler';

import { PullHttpHandler } from './pull-http-handler.ts';
import type { S3Deadlines } from './s3-deadlines.ts';

/** More than a process asks at once; what waits longer than its deadline for one of them fails. */
const CONTROL_SOCKETS = 1024;
/** How many idle connections each pool keeps. */
const FREE_SOCKETS = 256;

type HandleParameters = Parameters<NodeHttpHandler['handle']>;

/** Says by which connections a request goes. */
export interface PoolChoice {
  /** Its answer is read at the speed of a client. */
  readonly isPull: boolean;
}

/**
 * Two pools of connections: bodies that clients read, at whatever speed, and everything else. However many clients
 * are slow, they hold up none of the small requests that every answer needs.
 */
export class PooledHttpHandler extends NodeHttpHandler {
  readonly #pulls: PullHttpHandler;

  constructor(deadlines: S3Deadlines, pullSockets: number) {
    const control = agentOptions(CONTROL_SOCKETS);
    super({ ...handlerOptions(deadlines, control), httpAgent: new HttpAgent(control) });
    this.#pulls = new PullHttpHandler(deadlines, pullSockets);
  }

  override handle(
    request: HandleParameters[0],
    options?: HandleParameters[1] & Partial<PoolChoice>,
  ): ReturnType<NodeHttpHandler['handle']> {
    return options?.isPull === true
      ? this.#pulls.handle(request, options)
      : super.handle(request, options);
  }

  override destroy(): void {
    this.#pulls.destroy();
    super.destroy();
  }
}

function agentOptions(maxSockets: number): AgentOptions {
  return { keepAlive: true, maxSockets, maxFreeSockets: Math.min(FREE_SOCKETS, maxSockets) };
}

function handlerOptions(deadlines: S3Deadlines, agent: AgentOptions): NodeHttpHandlerOptions {
  return {
    httpsAgent: new HttpsAgent(agent),
    connectionTimeout: deadlines.connectMs,
    requestTimeout: deadlines.firstByteMs,
    throwOnRequestTimeout: true,
    // A socket is idle whenever a slow client makes us wait; bodies are watched by StoredBody instead.
    socketTimeout: 0,
  };
}
