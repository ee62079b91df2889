import { buffer } from 'node:stream/consumers';

import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';

import type { S3StorageConfig } from '../../config/config.ts';
import type { VerifiedFile } from '../blob-store.ts';
import { requireKey } from '../require-key.ts';
import { ObjectReads, type OpenObject, versionOf } from './object-reads.ts';
import { defaultDeadlines, type S3Deadlines } from './s3-deadlines.ts';
import {
  isBucketMissing,
  isRangeRefused,
  refusalToCreate,
  S3StorageError,
  storageFault,
} from './s3-errors.ts';
import type { StoreClient } from './s3-client.ts';
import type { PartPool } from './part-pool.ts';
import { payloadHash, sha256Of } from './payload-hash.ts';
import type { PlainPut, PlainRequests } from './plain-requests.ts';
import { sentFile } from './sent-file.ts';
import { type S3Call, type S3SendOptions, timedCall } from './timed-call.ts';

export interface ObjectStat {
  readonly size: number;
  readonly etag: string;
  /** Another one when the object was written anew. */
  readonly version: string;
  readonly modifiedAt: Date;
}

/** A small read is tried again when its body breaks; the SDK's retries end with the headers. */
const BODY_ATTEMPTS = 3;
/** How often an object is created anew when the store asks for that, because another was at it. */
const CREATE_ATTEMPTS = 5;
/** How long a bucket that was seen is believed to exist. */
const BUCKET_TRUST_MS = 5_000;

/**
 * The bucket under its root prefix: keys in, values out. Absence is `undefined`, all else that goes wrong is a
 * StorageError; each call ends by its deadline or its signal, whichever comes first.
 */
export class S3Bucket {
  readonly client: StoreClient;
  readonly name: string;
  readonly config: S3StorageConfig;
  readonly #deadlines: S3Deadlines;
  readonly #reads: ObjectReads;
  #isCreateUnsupported = false;
  #bucketSeenAtMs = Number.NEGATIVE_INFINITY;

  constructor(client: StoreClient, config: S3StorageConfig, deadlines?: S3Deadlines) {
    this.client = client;
    this.name = config.bucket;
    this.config = config;
    this.#deadlines = deadlines ?? defaultDeadlines;
    this.#reads = new ObjectReads(
      (call, fields) => this.#getObject(call, { ...this.at(call.key), ...fields }),
      this.#deadlines,
    );
  }

  /** The bucket and the full key, as every command takes them. */
  at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.name, Key: this.rootPrefix + requireKey(key) };
  }

  /** What stands before every key, with its slash; empty when the store is at the bucket's root. */
  get rootPrefix(): string {
    return this.config.prefix === '' ? '' : `${this.config.prefix}/`;
  }

  /** Of all uploads by way of the client. */
  get parts(): PartPool {
    return this.client.parts;
  }

  /** Sends one command; undefined when the store says that the object or upload is not there. */
  ask<T>(call: S3Call, send: (options: S3SendOptions) => Promise<T>): Promise<T | undefined> {
    return timedCall(call, this.#deadlines, send);
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
    const startedMs = performance.now();
    const known = await this.#plainly(signal, (plain) => plain.head(this.at(key), signal));
    if (known !== undefined) {
      if (known !== 'absent') return { ...known, version: versionOf(known.etag, known.modifiedAt) };
      await this.#requireBucket(operation, signal);
      return undefined;
    }
    const spentMs = performance.now() - startedMs;
    const answer = await this.ask({ operation, key, signal, spentMs }, (options) =>
      this.client.send(new HeadObjectCommand(this.at(key)), options),
    );
    if (answer === undefined) {
      await this.#requireBucket(operation, signal);
      return undefined;
    }
    return {
      size: answer.ContentLength ?? 0,
      etag: answer.ETag ?? '',
      version: versionOf(answer.ETag, answer.LastModified),
      modifiedAt: answer.LastModified ?? new Date(0),
    };
  }

  /** Opens an object or a part of it; `range` as in the HTTP header. 'refused': no byte of the range exists. */
  open(call: S3Call, range: string | undefined): Promise<OpenObject | 'refused' | undefined> {
    return this.#reads.open(call, range);
  }

  /** The whole object in memory, at most `maxBytes`; a body that breaks is asked for again. */
  async get(call: S3Call, maxBytes: number): Promise<Buffer | undefined> {
    const startedMs = performance.now();
    const { signal } = call;
    const known = await this.#plainly(signal, (plain) =>
      plain.get(this.at(call.key), { signal, maxBytes }),
    );
    if (known !== undefined) return known === 'absent' ? undefined : known;
    for (let attempt = 1; ; attempt += 1) {
      const spentMs = performance.now() - startedMs;
      const opened = await this.open({ ...call, isSmall: true, spentMs }, undefined);
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
        const isLate = performance.now() - startedMs >= this.#deadlines.operationMs;
        if (attempt === BODY_ATTEMPTS || isLate)
          throw storageFault(call.operation, call.key, error);
      }
    }
  }

  #getObject(
    call: S3Call,
    input: GetObjectCommandInput,
  ): Promise<GetObjectCommandOutput | 'refused' | undefined> {
    return this.ask(call, (options) =>
      this.client.send(new GetObjectCommand(input), options).catch((error: unknown) => {
        if (isRangeRefused(error)) return 'refused' as const;
        throw error;
      }),
    );
  }

  /** Undefined: it has to be asked in the ordinary way. */
  async #plainly<Answer>(
    signal: AbortSignal,
    ask: (plain: PlainRequests) => Promise<Answer | undefined>,
  ): Promise<Answer | undefined> {
    signal.throwIfAborted();
    const known = await ask(this.client.plain);
    signal.throwIfAborted();
    return known;
  }

  /** Stores the bytes; `sha256` is their hash in hex, which the store checks them against. */
  async put(call: S3Call, bytes: Buffer, sha256: string): Promise<void> {
    const startedMs = performance.now();
    if ((await this.#putPlainly(call, { bytes, sha256 })) !== undefined) return;
    const spentMs = performance.now() - startedMs;
    const command = new PutObjectCommand({
      ...this.at(call.key),
      Body: bytes,
      ContentLength: bytes.length,
    });
    command.middlewareStack.add(payloadHash(sha256), { step: 'build' });
    await this.tell({ ...call, bodyBytes: bytes.length, spentMs }, (options) =>
      this.client.send(command, options),
    );
  }

  /** As `put`, of a file that is sent as it is read. False: it was not, and has to be sent in another way. */
  async putFile(call: S3Call, file: VerifiedFile, sha256: string): Promise<boolean> {
    const bytes = sentFile(file, call.signal);
    return (await this.#putPlainly(call, { bytes, sha256 })) !== undefined;
  }

  /**
   * Stores the bytes unless the key has an object: false then. A store that does not offer that is looked at first,
   * which is as good as long as writers do not come within the same moment.
   */
  async create(call: S3Call, bytes: Buffer, sha256: string): Promise<boolean> {
    const startedMs = performance.now();
    const known = this.#isCreateUnsupported
      ? undefined
      : await this.#putPlainly(call, { bytes, sha256, isCreate: true });
    if (known !== undefined) return known !== 'exists';
    const spentMs = performance.now() - startedMs;
    const command = new PutObjectCommand({
      ...this.at(call.key),
      Body: bytes,
      ContentLength: bytes.length,
      IfNoneMatch: '*',
    });
    command.middlewareStack.add(payloadHash(sha256), { step: 'build' });
    for (let attempt = 1; !this.#isCreateUnsupported; attempt += 1) {
      const answer = await this.tell({ ...call, bodyBytes: bytes.length, spentMs }, (options) =>
        this.client.send(command, options).catch((error: unknown) => refusalToCreate(error)),
      );
      if (answer === 'exists') return false;
      if (typeof answer === 'object') return true;
      if (answer === 'unsupported') this.#isCreateUnsupported = true;
      else if (attempt === CREATE_ATTEMPTS) {
        throw new S3StorageError(call.operation, `${call.key}: others write it as well`, true);
      }
    }
    if ((await this.head(call.operation, call.key, call.signal)) !== undefined) return false;
    await this.put(call, bytes, sha256);
    return true;
  }

  /** Stores the bytes as a part of a multipart upload; undefined when the store does not know it (any more). */
  async putPart(
    call: S3Call,
    part: { readonly uploadId: string; readonly number: number },
    bytes: Buffer,
  ): Promise<{ readonly etag: string | undefined } | undefined> {
    const startedMs = performance.now();
    const sha256 = await sha256Of(bytes);
    const known = await this.#putPlainly(call, { bytes, sha256, part });
    if (known !== undefined && known !== 'exists') return known;
    const spentMs = performance.now() - startedMs;
    const command = new UploadPartCommand({
      ...this.at(call.key),
      UploadId: part.uploadId,
      PartNumber: part.number,
      Body: bytes,
      ContentLength: bytes.length,
    });
    command.middlewareStack.add(payloadHash(sha256), { step: 'build' });
    const answer = await this.ask({ ...call, bodyBytes: bytes.length, spentMs }, (options) =>
      this.client.send(command, options),
    );
    return answer && { etag: answer.ETag };
  }

  #putPlainly({ key, signal }: S3Call, put: Omit<PlainPut, 'signal'>) {
    return this.#plainly(signal, (plain) => plain.put(this.at(key), { ...put, signal }));
  }

  async delete(operation: string, key: string, signal: AbortSignal): Promise<void> {
    const startedMs = performance.now();
    if (await this.#plainly(signal, (plain) => plain.delete(this.at(key), signal))) return;
    const spentMs = performance.now() - startedMs;
    await this.ask({ operation, key, signal, spentMs }, (options) =>
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
