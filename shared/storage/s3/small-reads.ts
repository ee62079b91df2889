import type { S3Client } from '@aws-sdk/client-s3';

import { ReadTrust } from './read-trust.ts';
import type { S3Deadlines } from './s3-deadlines.ts';
import { type SignedGet, SignedGets } from './signed-gets.ts';
import { type SmallAnswer, SmallReadConnection } from './small-read-connection.ts';
import { StorePool } from './store-pool.ts';
import type { Endpoint } from './store-socket.ts';

interface SmallReadOptions {
  readonly signal: AbortSignal;
  readonly maxBytes: number;
}

/** More at once are left to the SDK, which lets them wait in line. */
const MAX_CONNECTIONS = 256;
/** What a refusal is read of at least. */
const REFUSAL_BYTES = 16 * 1024;
const ABSENT = '<Code>NoSuchKey</Code>';

/**
 * Reads small objects without the layers of the SDK, which cost several times the reading itself, over connections of
 * their own. It is sure of two answers, the whole object and that there is none; of everything else it says nothing,
 * and the SDK is to be asked, with its retries and its errors.
 */
export class SmallReads {
  readonly #client: S3Client;
  readonly #deadlines: S3Deadlines;
  readonly #onAsked: () => void;
  readonly #trust = new ReadTrust();
  readonly #gets = new Map<string, SignedGets>();
  readonly #pool = new StorePool((endpoint, onFree) => new SmallReadConnection(endpoint, onFree));
  #busy = 0;

  /** `onAsked` is told of each answer that spares the SDK a request. */
  constructor(client: S3Client, deadlines: S3Deadlines, onAsked: () => void) {
    this.#client = client;
    this.#deadlines = deadlines;
    this.#onAsked = onAsked;
  }

  /** Undefined: not known. Never rejects; a signal that aborts ends it. */
  async get(
    object: { readonly Bucket: string; readonly Key: string },
    options: SmallReadOptions,
  ): Promise<Buffer | 'absent' | undefined> {
    if (!this.#trust.isGiven || this.#busy >= MAX_CONNECTIONS) return undefined;
    this.#busy += 1;
    try {
      const signed = await this.#signed(object.Bucket, object.Key);
      const answer = signed && understood(await this.#ask(signed, options), options.maxBytes);
      if (answer !== undefined) {
        this.#trust.succeeded();
        this.#onAsked();
        return answer;
      }
    } catch {
      // Whatever it was, the SDK meets it again, and can tell what it means.
    } finally {
      this.#busy -= 1;
    }
    if (!options.signal.aborted) this.#trust.failed();
    return undefined;
  }

  destroy(): void {
    this.#pool.destroy();
  }

  #signed(bucket: string, key: string): Promise<SignedGet | undefined> {
    let gets = this.#gets.get(bucket);
    if (!gets) {
      gets = new SignedGets(this.#client, bucket);
      this.#gets.set(bucket, gets);
    }
    return gets.sign(key);
  }

  async #ask({ endpoint, text }: SignedGet, options: SmallReadOptions): Promise<SmallAnswer> {
    const { signal, maxBytes } = options;
    signal.throwIfAborted();
    const limit = Math.max(maxBytes, REFUSAL_BYTES);
    let connection = this.#pool.takeIdle(endpoint) ?? this.#connect(endpoint);
    let isOver = false;
    const end = (): void => {
      isOver = true;
      connection.destroy();
    };
    const timer = setTimeout(end, this.#deadlines.firstByteMs);
    signal.addEventListener('abort', end, { once: true });
    try {
      return await connection.ask(text, limit).catch(async (error: unknown) => {
        if (isOver || !connection.wasStale) throw error;
        connection = this.#connect(endpoint);
        return await connection.ask(text, limit);
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    }
  }

  #connect(endpoint: Endpoint): SmallReadConnection {
    const connection = this.#pool.connect(endpoint);
    const timer = setTimeout(() => connection.destroy(), this.#deadlines.connectMs);
    connection.onceConnected(() => clearTimeout(timer));
    connection.onceClosed(() => clearTimeout(timer));
    return connection;
  }
}

function understood({ head, body }: SmallAnswer, maxBytes: number): Buffer | 'absent' | undefined {
  if (head.status === 200) return body.length <= maxBytes ? body : undefined;
  if (head.status === 404 && body.toString('latin1').includes(ABSENT)) return 'absent';
  return undefined;
}
