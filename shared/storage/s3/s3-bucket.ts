import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';

import type { S3StorageConfig } from '../../config/config.ts';
import { requireKey } from '../require-key.ts';
import { bodyAllowanceMs, defaultDeadlines, type S3Deadlines } from './s3-deadlines.ts';
import {
  isAbsent,
  isBucketMissing,
  isRangeRefused,
  S3StorageError,
  storageFault,
} from './s3-errors.ts';
import { payloadHash } from './payload-hash.ts';
import { guardBody } from './stored-body.ts';

/** One operation of the store: its name in errors, its key relative to the store's root, and what ends it. */
export interface S3Call {
  readonly operation: string;
  readonly key: string;
  readonly signal: AbortSignal;
  /** Bytes that are sent along; they lengthen the deadlines. */
  readonly bodyBytes?: number;
  /** The store moves a whole object before it answers. */
  readonly isHeavy?: boolean;
}

/** What each request of a call is sent with. */
export interface S3SendOptions {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout: number;
}

export interface ObjectStat {
  readonly size: number;
  readonly etag: string;
}

/** The answer to a GET. The body is guarded: it fails rather than end short. */
export interface OpenObject {
  readonly length: number;
  /** The `Content-Range` of the answer, when the store sent a part. */
  readonly contentRange: string | undefined;
  readonly stream: Readable;
}

/** A small read is tried again when its body breaks; the SDK's retries end with the headers. */
const BODY_ATTEMPTS = 3;
/** How long a bucket that was seen is believed to exist. */
const BUCKET_TRUST_MS = 5_000;

/**
 * The bucket under its root prefix: keys in, values out. Absence is `undefined`, all else that goes wrong is a
 * StorageError; each call ends by its deadline or its signal, whichever comes first.
 */
export class S3Bucket {
  readonly client: S3Client;
  readonly name: string;
  readonly config: S3StorageConfig;
  readonly #deadlines: S3Deadlines;
  #bucketSeenAtMs = Number.NEGATIVE_INFINITY;

  constructor(client: S3Client, config: S3StorageConfig, deadlines?: S3Deadlines) {
    this.client = client;
    this.name = config.bucket;
    this.config = config;
    this.#deadlines = deadlines ?? defaultDeadlines;
  }

  /** The bucket and the full key, as every command takes them. */
  at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.name, Key: this.rootPrefix + requireKey(key) };
  }

  /** What stands before every key, with its slash; empty when the store is at the bucket's root. */
  get rootPrefix(): string {
    return this.config.prefix === '' ? '' : `${this.config.prefix}/`;
  }

  /** Sends one command; undefined when the store says that the object or upload is not there. */
  async ask<T>(call: S3Call, send: (options: S3SendOptions) => Promise<T>): Promise<T | undefined> {
    call.signal.throwIfAborted();
    const allowanceMs = bodyAllowanceMs(call.bodyBytes ?? 0);
    const { firstByteMs, operationMs, heavyOperationMs } = this.#deadlines;
    const totalMs = (call.isHeavy === true ? heavyOperationMs : operationMs) + allowanceMs;
    const controller = new AbortController();
    const ended = Promise.withResolvers<never>();
    const end = (why: Error): void => {
      controller.abort(why);
      ended.reject(why);
    };
    const onAbort = (): void => {
      end(new Error('aborted'));
    };
    const timer = setTimeout(() => {
      end(new S3StorageError(call.operation, `${call.key}: no answer within ${totalMs} ms`, true));
    }, totalMs);
    call.signal.addEventListener('abort', onAbort, { once: true });
    try {
      const requestTimeout = call.isHeavy === true ? totalMs : firstByteMs + allowanceMs;
      const sent = send({ abortSignal: controller.signal, requestTimeout });
      return await Promise.race([sent, ended.promise]);
    } catch (error) {
      call.signal.throwIfAborted();
      if (isAbsent(error)) return undefined;
      throw storageFault(call.operation, call.key, error);
    } finally {
      clearTimeout(timer);
      call.signal.removeEventListener('abort', onAbort);
    }
  }

  /** Sends one command to something that must be there: absence is a fault too. */
  async tell<T>(call: S3Call, send: (options: S3SendOptions) => Promise<T>): Promise<T> {
    const answer = await this.ask(call, send);
    if (answer === undefined) {
      throw new S3StorageError(
        call.operation,
        `${call.key}: the store lost what it works on`,
        true,
      );
    }
    return answer;
  }

  async head(operation: string, key: string, signal: AbortSignal): Promise<ObjectStat | undefined> {
    const answer = await this.ask({ operation, key, signal }, (options) =>
      this.client.send(new HeadObjectCommand(this.at(key)), options),
    );
    if (answer === undefined) {
      await this.#requireBucket(operation, signal);
      return undefined;
    }
    return { size: answer.ContentLength ?? 0, etag: answer.ETag ?? '' };
  }

  /** Opens an object or a part of it; `range` as in the HTTP header. 'refused': no byte of the range exists. */
  async open(call: S3Call, range: string | undefined): Promise<OpenObject | 'refused' | undefined> {
    const { operation, key, signal } = call;
    const command = new GetObjectCommand({
      ...this.at(key),
      ...(range === undefined ? {} : { Range: range }),
    });
    const answer = await this.ask(call, (options) =>
      this.client.send(command, options).catch((error: unknown) => {
        if (isRangeRefused(error)) return 'refused' as const;
        throw error;
      }),
    );
    if (answer === undefined || answer === 'refused') return answer;
    const source = answer.Body as Readable;
    if (answer.ContentLength === undefined) {
      source.destroy();
      throw new S3StorageError(operation, `${key}: an answer without a length`, true);
    }
    const length = answer.ContentLength;
    const { idleMs } = this.#deadlines;
    const stream = guardBody(source, { operation, key, length, idleMs, signal });
    return { length, contentRange: answer.ContentRange, stream };
  }

  /** The whole object in memory, at most `maxBytes`; a body that breaks is asked for again. */
  async get(call: S3Call, maxBytes: number): Promise<Buffer | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const opened = await this.open(call, undefined);
      if (opened === undefined || opened === 'refused') return undefined;
      if (opened.length > maxBytes) {
        opened.stream.destroy();
        const message = `${call.key}: ${opened.length} bytes are more than the ${maxBytes} allowed`;
        throw new S3StorageError(call.operation, message, false);
      }
      try {
        return await buffer(opened.stream);
      } catch (error) {
        call.signal.throwIfAborted();
        if (attempt === BODY_ATTEMPTS) throw storageFault(call.operation, call.key, error);
      }
    }
  }

  /** Stores the bytes; `sha256` is their hash in hex, which the store checks them against. */
  async put(call: S3Call, bytes: Buffer, sha256: string): Promise<void> {
    const command = new PutObjectCommand({
      ...this.at(call.key),
      Body: bytes,
      ContentLength: bytes.length,
    });
    command.middlewareStack.add(payloadHash(sha256), { step: 'build' });
    await this.tell({ ...call, bodyBytes: bytes.length }, (options) =>
      this.client.send(command, options),
    );
  }

  async delete(operation: string, key: string, signal: AbortSignal): Promise<void> {
    await this.ask({ operation, key, signal }, (options) =>
      this.client.send(new DeleteObjectCommand(this.at(key)), options),
    );
  }

  /** A HEAD answers 404 for a missing bucket as well; so absence is believed only while the bucket is there. */
  async #requireBucket(operation: string, signal: AbortSignal): Promise<void> {
    if (performance.now() - this.#bucketSeenAtMs < BUCKET_TRUST_MS) return;
    const call = { operation, key: this.name, signal };
    const answer = await this.ask(call, (options) =>
      this.client
        .send(new HeadBucketCommand({ Bucket: this.name }), options)
        .catch((error: unknown) => {
          if (isBucketMissing(error)) return undefined;
          throw error;
        }),
    );
    if (answer === undefined) {
      throw new S3StorageError(operation, `the bucket ${this.name} does not exist`, false);
    }
    this.#bucketSeenAtMs = performance.now();
  }
}
