import { Redis } from 'ioredis';

import type { Observer } from '../../observability/observer.ts';
import { probeKey } from './redis-keys.ts';
import { PROBE, type RedisScript } from './redis-scripts.ts';

/** What connecting and the first questions may take together, off the path of any request. */
const CONNECT_DEADLINE_MS = 1_000;
/** So many deadlines in a row without an answer, and the connection is given up. */
const FAILURES_TO_GIVE_UP = 3;
/** Error answers of a server that cannot do its work at present; others concern one command alone. */
const UNFIT = /^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|MOVED|NOAUTH|WRONGPASS|NOPERM)\b/;

/** What INFO tells of the server at the other end. */
export interface RedisServerInfo {
  /**
   * Changes whenever the data may have gone back in time: with each process (run id) and each promotion of a replica
   * (replication id).
   */
  readonly identity: string;
  /** `noeviction` is the one that suits an index; undefined when the server does not tell. */
  readonly evictionPolicy: string | undefined;
}

export interface RedisSessionOptions {
  readonly url: string;
  readonly observer: Observer;
  /** The deadline of one command. */
  readonly commandMs: number;
}

/** The answer to a command, or undefined when there was none in time or it was an error. */
export type RedisAnswer = { readonly value: unknown } | undefined;

/**
 * One connection to one Redis process. It never reconnects, queues nothing while it is down and resends nothing: a
 * command is executed at most once, perhaps later than its deadline. After a few failures it closes itself.
 */
export class RedisSession {
  readonly #redis: Redis;
  readonly #observer: Observer;
  readonly #commandMs: number;
  readonly #closed = Promise.withResolvers<undefined>();
  #isOpen = true;
  #failures = 0;
  #lastFailureAt = -Infinity;
  #info: RedisServerInfo | undefined;
  #lastFault: unknown;

  private constructor({ url, observer, commandMs }: RedisSessionOptions) {
    this.#observer = observer;
    this.#commandMs = commandMs;
    this.#redis = new Redis(url, {
      lazyConnect: true,
      protocol: 2,
      disableClientInfo: true,
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      maxRetriesPerRequest: 0,
      retryStrategy: null,
      connectTimeout: CONNECT_DEADLINE_MS,
      disconnectTimeout: 100,
    });
    // A failed SELECT is told by this event alone.
    this.#redis.on('error', (error) => {
      this.#lastFault = error;
      this.close();
    });
    this.#redis.on('close', () => {
      this.close();
    });
  }

  /** Connects and asks who is there. Throws what went wrong, without secrets; then nothing stays open. */
  static async open(options: RedisSessionOptions): Promise<RedisSession> {
    const session = new RedisSession(options);
    try {
      await withDeadline(session.#connect(), CONNECT_DEADLINE_MS);
      return session;
    } catch (error) {
      session.close();
      throw session.#lastFault ?? error;
    }
  }

  get info(): RedisServerInfo {
    if (!this.#info) throw new Error('the session is not open yet');
    return this.#info;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Resolves when the connection is of no use any more. */
  get closed(): Promise<undefined> {
    return this.#closed.promise;
  }

  /** Why the session closed itself, if it did. */
  get lastFault(): unknown {
    return this.#lastFault;
  }

  /** Runs a script within its deadline. Never throws. */
  async run(
    operation: string,
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<RedisAnswer> {
    return await this.#command(operation, () => this.#evaluate(script, keys, args));
  }

  /** Asks again who is there: closes the session when it is another than before. */
  async verify(): Promise<void> {
    const answer = await this.#command('info', () => this.#readInfo());
    if (!answer) return;
    const info = answer.value as RedisServerInfo;
    if (info.identity !== this.info.identity) this.close();
  }

  /** Idempotent. Commands under way get no answer. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#redis.disconnect();
    this.#closed.resolve(undefined);
  }

  async #connect(): Promise<void> {
    await this.#redis.connect();
    this.#info = await this.#readInfo();
    await this.#evaluate(PROBE, [probeKey], []);
  }

  async #readInfo(): Promise<RedisServerInfo> {
    const fields = parseInfo(await this.#redis.info());
    const role = fields.get('role');
    // A replica answers with what it had; its refusal of writes would only show later.
    if (role !== 'master') throw new Error(`READONLY the server's role is ${role ?? 'unknown'}`);
    if (fields.get('loading') === '1') throw new Error('LOADING the server is loading its data');
    const runId = fields.get('run_id');
    const replicationId = fields.get('master_replid');
    if (!runId || !replicationId) throw new Error('the server tells no run id and replication id');
    return {
      identity: `${runId}/${replicationId}`,
      evictionPolicy: fields.get('maxmemory_policy'),
    };
  }

  async #evaluate(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const rest = [...keys, ...args];
    try {
      return await this.#redis.evalsha(script.sha, keys.length, ...rest);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return await this.#redis.eval(script.source, keys.length, ...rest);
    }
  }

  async #command(operation: string, command: () => Promise<unknown>): Promise<RedisAnswer> {
    if (!this.#isOpen) return undefined;
    const start = performance.now();
    const seconds = (): number => (performance.now() - start) / 1000;
    try {
      const value = await withDeadline(command(), this.#commandMs);
      this.#failures = 0;
      this.#observer.redis(operation, seconds(), false);
      return { value };
    } catch (error) {
      this.#observer.redis(operation, seconds(), true);
      this.#noteFailure(error, start);
      return undefined;
    }
  }

  #noteFailure(error: unknown, start: number): void {
    this.#lastFault = error;
    const isAnswer = error instanceof Error && error.name === 'ReplyError';
    // Commands that waited through the same pause are one failure.
    if (!isAnswer && start >= this.#lastFailureAt) {
      this.#failures += 1;
      this.#lastFailureAt = performance.now();
    }
    const isUnfit = error instanceof Error && UNFIT.test(error.message);
    if (isUnfit || this.#failures >= FAILURES_TO_GIVE_UP) this.close();
  }
}

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

/** The outcome of the promise, or an error after `ms`; a later outcome is dropped. */
async function withDeadline<T>(promise: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  // After a stall of this process timers come before input: an answer that is here already must win.
  const timer = setTimeout(() => {
    setImmediate(() => late.reject(new Error(`no answer within ${ms} ms`)));
  }, ms);
  promise.catch(() => undefined);
  late.promise.catch(() => undefined);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
