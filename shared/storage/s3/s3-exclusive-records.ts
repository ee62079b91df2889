import type { S3StorageConfig } from '../../config/config.ts';
import type { ExclusiveRecords } from '../exclusive-records.ts';
import type { StoreFindings } from '../store-findings.ts';
import { sha256Of } from './payload-hash.ts';
import { S3Bucket } from './s3-bucket.ts';
import type { StoreClient } from './s3-client.ts';
import type { S3Deadlines } from './s3-deadlines.ts';

/** What a bucket must have been seen to do. */
const TRAITS = ['put-if-absent', 'put-if-absent-has-one-winner'];

export interface S3ExclusiveOptions {
  /** What the probe of the bucket shows; asked for until it answers. */
  readonly probe: (signal: AbortSignal) => Promise<StoreFindings>;
  readonly deadlines?: S3Deadlines;
}

/** Records made by a PutObject with `If-None-Match: *`. */
export class S3ExclusiveRecords implements ExclusiveRecords {
  readonly #bucket: S3Bucket;
  readonly #probe: S3ExclusiveOptions['probe'];
  #isReliable: Promise<boolean> | undefined;

  constructor(client: StoreClient, config: S3StorageConfig, options: S3ExclusiveOptions) {
    this.#bucket = new S3Bucket(client, config, options.deadlines);
    this.#probe = options.probe;
  }

  async isReliable(signal: AbortSignal): Promise<boolean> {
    this.#isReliable ??= this.#ask(signal).catch((error: unknown) => {
      this.#isReliable = undefined;
      throw error;
    });
    return await this.#isReliable;
  }

  async create(key: string, bytes: Buffer, signal: AbortSignal): Promise<boolean> {
    const call = { operation: 'record.create', key, signal };
    return await this.#bucket.create(call, bytes, await sha256Of(bytes));
  }

  async #ask(signal: AbortSignal): Promise<boolean> {
    const { findings } = await this.#probe(signal);
    return TRAITS.every((trait) =>
      findings.some((finding) => finding.trait === trait && finding.holds === true),
    );
  }
}
