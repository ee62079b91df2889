import { randomUUID } from 'node:crypto';

import { expect } from '@jest/globals';

import type { S3StorageConfig } from '../../../shared/config/config.ts';
import { type Digest, digestOf } from '../../../shared/oci/digest.ts';
import { parseRepositoryName } from '../../../shared/oci/reference.ts';
import { multipartFolder, uploadsFolder } from '../../../shared/storage/object-keys.ts';
import { S3BlobStore } from '../../../shared/storage/s3/s3-blob-store.ts';
import { createS3Client, type StoreClient } from '../../../shared/storage/s3/s3-client.ts';
import { defaultDeadlines, type S3Deadlines } from '../../../shared/storage/s3/s3-deadlines.ts';
import { S3RecordStore } from '../../../shared/storage/s3/s3-record-store.ts';
import { S3UploadStore } from '../../../shared/storage/s3/s3-upload-store.ts';
import {
  patternBytes,
  readAll,
  streamOf,
  unending,
} from '../../../shared/storage/testing/contract-support.ts';
import { listKeys, listOpenMultiparts } from '../../support/list-bucket.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../../support/s3-fault-proxy.ts';
import { s3StorageConfig } from '../../support/s3-storage-config.ts';
import { type S3Server, startMinio } from '../../support/start-s3.ts';

export const repo = parseRepositoryName('faults/repository')!;
export const slowDown = { kind: 'refuse', status: 503, code: 'SlowDown' } as const;
export const broken = { kind: 'refuse', status: 500, code: 'InternalError' } as const;
export const loseAnswer = { kind: 'lose-answer' } as const;
export const errorIn200 = (end: string) =>
  ({
    kind: 'answer',
    status: 200,
    body: `<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>${end}`,
  }) as const;
export const hurried = (changes: Partial<S3Deadlines>): S3Deadlines => ({
  ...defaultDeadlines,
  ...changes,
});

/** What a push of one blob of `length` bytes does to the store. */
export type Push = (bytes: Buffer, digest: Digest) => Promise<void>;

const tomorrow = (): Date => new Date(Date.now() + 86_400_000);

/** A bucket with two ways to it: one past all faults, one through a proxy that makes them. */
export class S3FaultLab {
  server!: S3Server;
  proxy!: S3FaultProxy;
  /** Straight to the server. */
  client!: StoreClient;
  /** Through the proxy. */
  faulty!: StoreClient;
  config!: S3StorageConfig;
  records!: S3RecordStore;
  blobs!: S3BlobStore;
  uploads!: S3UploadStore;
  #seed = 0;

  async start(): Promise<void> {
    this.server = await startMinio();
    this.proxy = await startS3FaultProxy(this.server.endpoint);
    this.client = createS3Client(s3StorageConfig(this.server));
    this.faulty = createS3Client(
      s3StorageConfig({ ...this.server, endpoint: this.proxy.endpoint }),
    );
  }

  async stop(): Promise<void> {
    this.client.destroy();
    this.faulty.destroy();
    await this.proxy.stop();
    await this.server.stop();
  }

  /** An empty store for the next test. */
  renew(): void {
    this.config = s3StorageConfig(this.server, { prefix: `faults/${randomUUID()}` });
    this.records = new S3RecordStore(this.faulty, this.config);
    this.blobs = new S3BlobStore(this.faulty, this.config);
    this.uploads = new S3UploadStore(this.faulty, this.config);
  }

  fresh(length: number): { bytes: Buffer; digest: Digest } {
    const bytes = patternBytes(length, (this.#seed += 1));
    return { bytes, digest: digestOf(bytes) };
  }

  /** What is there in truth, past the proxy. */
  async stored(digest: Digest): Promise<Buffer | undefined> {
    const store = new S3BlobStore(this.client, this.config);
    const body = await store.open(digest, undefined, unending);
    return body && readAll(body.stream);
  }

  async leftovers(): Promise<string[]> {
    const { bucket, prefix } = this.config;
    return [
      ...(await listOpenMultiparts(this.client, bucket, prefix)),
      ...(await listKeys(this.client, bucket, `${prefix}/${multipartFolder}/`)),
    ];
  }

  async reapAll(): Promise<void> {
    await new S3UploadStore(this.client, this.config).reap(repo, tomorrow(), unending);
    expect(await this.leftovers()).toEqual([]);
    expect(await this.records.list(uploadsFolder(repo), {}, unending)).toEqual([]);
  }

  readonly put: Push = async (bytes, digest) => {
    await this.blobs.put(digest, streamOf(bytes), undefined, unending);
  };

  /** As three requests do it: each looks the session up. */
  readonly upload: Push = (bytes, digest) => this.#upload(bytes, digest, () => this.uploads);

  /** The same, each request at a replica that knows nothing of the session. */
  readonly uploadAround: Push = (bytes, digest) =>
    this.#upload(bytes, digest, () => new S3UploadStore(this.faulty, this.config));

  async #upload(bytes: Buffer, digest: Digest, next: () => S3UploadStore): Promise<void> {
    const { id } = await next().create(repo, undefined, unending);
    const second = next();
    const session = await second.find(repo, id, unending);
    await second.append(session!, 0, streamOf(bytes), unending);
    const third = next();
    const appended = await third.find(repo, id, unending);
    await third.commit(appended!, digest, unending);
  }
}
