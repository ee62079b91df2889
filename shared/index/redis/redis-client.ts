import type { Clock } from '../../lifecycle/clock.ts';
import type { Log } from '../../observability/observer.ts';
import { RedisSession, type RedisSessionOptions } from './redis-session.ts';

/** Between two attempts to connect, in milliseconds: from the first to the last, with up to a half more at random. */
const RETRY_MS = { first: 100, last: 1_000 };

export interface RedisClientOptions extends RedisSessionOptions {
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Keeps a session with Redis as long as it runs, in the background: while there is none, callers hear so at once and
 * no request ever waits for a connection.
 */
export class RedisClient {
  readonly #options: RedisClientOptions;
  readonly #stop = new AbortController();
  readonly #firstAttempt = Promise.withResolvers<undefined>();
  #session: RedisSession | undefined;
  #running: Promise<void> | undefined;
  /** What was told last, so that a long outage is one line. */
  #told: 'reachable' | 'unreachable' | undefined;
  #warnedPolicy: string | undefined;

  constructor(options: RedisClientOptions) {
    this.#options = options;
  }

  /** Begins to connect; resolves after the first attempt, whatever came of it. */
  async start(): Promise<void> {
    this.#running ??= this.#keepSession();
    await this.#firstAttempt.promise;
  }

  /** The session with a Redis that answers, or undefined. */
  get session(): RedisSession | undefined {
    return this.#session?.isOpen ? this.#session : undefined;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#session?.close();
    await this.#running;
  }

  async #keepSession(): Promise<void> {
    const { clock } = this.#options;
    let wait = RETRY_MS.first;
    while (!this.#stop.signal.aborted) {
      this.#session = await this.#open();
      this.#firstAttempt.resolve(undefined);
      if (this.#session) {
        await this.#useUp(this.#session);
        wait = RETRY_MS.first;
      }
      await clock.sleep(wait * (1 + Math.random() / 2), this.#stop.signal).catch(() => undefined);
      wait = Math.min(wait * 2, RETRY_MS.last);
    }
  }

  async #useUp(session: RedisSession): Promise<void> {
    if (this.#stop.signal.aborted) session.close();
    await session.closed;
    if (!this.#stop.signal.aborted) this.#tellUnreachable(session.lastFault);
  }

  async #open(): Promise<RedisSession | undefined> {
    try {
      const session = await RedisSession.open(this.#options);
      this.#tellReachable(session);
      return session;
    } catch (error) {
      this.#tellUnreachable(error);
      return undefined;
    }
  }

  #tellReachable(session: RedisSession): void {
    const { log } = this.#options;
    if (this.#told !== 'reachable') log.info({}, 'Redis is reachable');
    this.#told = 'reachable';
    const policy = session.info.evictionPolicy;
    if (policy === 'noeviction' || policy === this.#warnedPolicy) return;
    this.#warnedPolicy = policy;
    log.warn(
      { evictionPolicy: policy ?? 'unknown' },
      'Redis must run with maxmemory-policy noeviction: with any other it drops entries of the index unseen',
    );
  }

  #tellUnreachable(error: unknown): void {
    if (this.#told === 'unreachable') return;
    this.#told = 'unreachable';
    const reason = error instanceof Error ? error.message : 'the connection was closed';
    this.#options.log.warn({ reason }, 'Redis is not reachable: the index answers from the store');
  }
}
