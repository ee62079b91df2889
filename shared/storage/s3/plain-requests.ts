import type { S3Client } from '@aws-sdk/client-s3';

import {
  type PlainAnswer,
  PlainConnection,
  type PlainQuestion,
  type SentBody,
} from './plain-connection.ts';
import type { PlainHead } from '../../plain-http/plain-head.ts';
import { ReadTrust } from './read-trust.ts';
import { bodyAllowanceMs, type S3Deadlines } from './s3-deadlines.ts';
import { type ObjectRequest, type SignedRequest, SignedRequests } from './signed-requests.ts';
import { StorePool } from './store-pool.ts';
import type { Endpoint } from './store-socket.ts';

/** An object, as the SDK's commands name it. */
interface ObjectName {
  readonly Bucket: string;
  readonly Key: string;
}

interface ReadOptions {
  readonly signal: AbortSignal;
  readonly maxBytes: number;
}

/** Bytes to be stored. */
export interface PlainPut {
  readonly bytes: Buffer | SentBody;
  /** Of the bytes, in hex: the store checks them against it. */
  readonly sha256: string;
  /** Only where there is no object yet. */
  readonly isCreate?: boolean;
  /** As a part of a multipart upload. */
  readonly part?: { readonly uploadId: string; readonly number: number };
  readonly signal: AbortSignal;
}

/** What the head of an answer tells of an object. */
interface PlainObject {
  readonly size: number;
  readonly etag: string;
  readonly modifiedAt: Date;
}

/** More at once are left to the SDK, which lets them wait in line. */
const MAX_CONNECTIONS = 256;
/** What a refusal is read of at least. */
const REFUSAL_BYTES = 16 * 1024;
const ABSENT = '<Code>NoSuchKey</Code>';
const EXISTS = '<Code>PreconditionFailed</Code>';

/**
 * Requests for single objects without the layers of the SDK, which cost several times the work itself, over connections
 * of their own. Each method knows a few answers, and is sure of them; of everything else it says undefined, and the SDK
 * is to be asked, with its retries and its errors, as if nothing had been: so all that is asked here may be asked twice.
 * None rejects; a signal that aborts ends them.
 */
export class PlainRequests {
  readonly #client: S3Client;
  readonly #deadlines: S3Deadlines;
  readonly #onAsked: () => void;
  readonly #reads = new ReadTrust();
  readonly #writes = new ReadTrust();
  readonly #signers = new Map<string, SignedRequests>();
  readonly #pool = new StorePool((endpoint, onFree) => new PlainConnection(endpoint, onFree));
  #busy = 0;

  /** `onAsked` is told of each answer that spares the SDK a request. */
  constructor(client: S3Client, deadlines: S3Deadlines, onAsked: () => void) {
    this.#client = client;
    this.#deadlines = deadlines;
    this.#onAsked = onAsked;
  }

  /** The whole object, at most `maxBytes`. */
  get(object: ObjectName, options: ReadOptions): Promise<Buffer | 'absent' | undefined> {
    const { signal, maxBytes } = options;
    return this.#trusted(this.#reads, signal, async () => {
      const asked = { method: 'GET', key: object.Key } as const;
      const answer = await this.#ask(object.Bucket, asked, { signal, maxBytes });
      return answer && readObject(answer, maxBytes);
    });
  }

  /** 'absent' also when there is no such bucket: the answer has no room for the difference. */
  head(object: ObjectName, signal: AbortSignal): Promise<PlainObject | 'absent' | undefined> {
    return this.#trusted(this.#reads, signal, async () => {
      const asked = { method: 'HEAD', key: object.Key } as const;
      const answer = await this.#ask(object.Bucket, asked, { signal, maxBytes: 0 });
      if (answer?.head.status === 404) return 'absent';
      return answer?.head.status === 200 ? describedObject(answer.head) : undefined;
    });
  }

  /** Resolves to the ETag of what was stored; 'exists' to a creation alone, which then changed nothing. */
  put(
    object: ObjectName,
    put: PlainPut,
  ): Promise<{ readonly etag: string } | 'exists' | undefined> {
    const { bytes, sha256, isCreate = false, part, signal } = put;
    return this.#trusted(this.#writes, signal, async () => {
      const asked: ObjectRequest = {
        method: 'PUT',
        key: object.Key,
        query: part ? { partNumber: String(part.number), uploadId: part.uploadId } : {},
        headers: {
          'content-length': String(bytes.length),
          'x-amz-content-sha256': sha256,
          ...(part ? {} : { 'content-type': 'application/octet-stream' }),
          ...(isCreate ? { 'if-none-match': '*' } : {}),
        },
      };
      const answer = await this.#ask(object.Bucket, asked, { signal, maxBytes: 0, body: bytes });
      if (!answer) return undefined;
      const { head, body } = answer;
      const etag = head.headers['etag'];
      if (head.status === 200 && body.length === 0 && etag !== undefined) return { etag };
      const isThere = head.status === 412 && body.toString('latin1').includes(EXISTS);
      return isCreate && isThere ? 'exists' : undefined;
    });
  }

  /** True: it is gone, or was not there. */
  delete(object: ObjectName, signal: AbortSignal): Promise<true | undefined> {
    return this.#trusted(this.#writes, signal, async () => {
      const asked = { method: 'DELETE', key: object.Key } as const;
      const answer = await this.#ask(object.Bucket, asked, { signal, maxBytes: 0 });
      return answer?.head.status === 204 ? true : undefined;
    });
  }

  destroy(): void {
    this.#pool.destroy();
  }

  /** What the SDK meets again, and can tell the meaning of, is undefined here. */
  async #trusted<Answer>(
    trust: ReadTrust,
    signal: AbortSignal,
    ask: () => Promise<Answer | undefined>,
  ): Promise<Answer | undefined> {
    if (!trust.isGiven || this.#busy >= MAX_CONNECTIONS) return undefined;
    this.#busy += 1;
    try {
      const answer = await ask();
      if (answer !== undefined) {
        trust.succeeded();
        this.#onAsked();
        return answer;
      }
    } catch {
      // Whatever it was.
    } finally {
      this.#busy -= 1;
    }
    if (!signal.aborted) trust.failed();
    return undefined;
  }

  async #ask(
    bucket: string,
    asked: ObjectRequest,
    options: ReadOptions & { readonly body?: Buffer | SentBody },
  ): Promise<PlainAnswer | undefined> {
    const { signal, maxBytes, body } = options;
    const signed = await this.#signed(bucket, asked);
    if (!signed) return undefined;
    signal.throwIfAborted();
    const { endpoint, text } = signed;
    const limit = Math.max(maxBytes, REFUSAL_BYTES);
    const question: PlainQuestion = { method: asked.method, head: text, body };
    let connection = this.#pool.takeIdle(endpoint) ?? this.#connect(endpoint);
    let isOver = false;
    const end = (): void => {
      isOver = true;
      connection.destroy();
    };
    const { firstByteMs, idleMs } = this.#deadlines;
    const timer = setTimeout(end, firstByteMs + bodyAllowanceMs(body?.length ?? 0));
    let sentBytes = -1;
    // A store that takes nothing more is not waited for as long as one that is slow.
    const stall = setInterval(() => {
      if (connection.isSending && connection.sentBytes === sentBytes) end();
      sentBytes = connection.sentBytes;
    }, idleMs);
    signal.addEventListener('abort', end, { once: true });
    try {
      return await connection.ask(question, limit).catch(async (error: unknown) => {
        if (isOver || !connection.wasStale) throw error;
        connection = this.#connect(endpoint);
        return await connection.ask(question, limit);
      });
    } finally {
      clearTimeout(timer);
      clearInterval(stall);
      signal.removeEventListener('abort', end);
    }
  }

  #signed(bucket: string, asked: ObjectRequest): Promise<SignedRequest | undefined> {
    let signer = this.#signers.get(bucket);
    if (!signer) {
      signer = new SignedRequests(this.#client, bucket);
      this.#signers.set(bucket, signer);
    }
    return signer.sign(asked);
  }

  #connect(endpoint: Endpoint): PlainConnection {
    const connection = this.#pool.connect(endpoint);
    const timer = setTimeout(() => connection.destroy(), this.#deadlines.connectMs);
    connection.onceConnected(() => clearTimeout(timer));
    connection.onceClosed(() => clearTimeout(timer));
    return connection;
  }
}

function readObject({ head, body }: PlainAnswer, maxBytes: number): Buffer | 'absent' | undefined {
  if (head.status === 200) return body.length <= maxBytes ? body : undefined;
  if (head.status === 404 && body.toString('latin1').includes(ABSENT)) return 'absent';
  return undefined;
}

/** Undefined when the head does not tell all of it. */
function describedObject({ headers }: PlainHead): PlainObject | undefined {
  const { etag } = headers;
  const size = Number(headers['content-length']);
  const modifiedAt = new Date(headers['last-modified'] ?? '');
  const isWhole = etag !== undefined && Number.isSafeInteger(size) && size >= 0;
  return isWhole && !Number.isNaN(modifiedAt.getTime()) ? { size, etag, modifiedAt } : undefined;
}
