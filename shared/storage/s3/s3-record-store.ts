import type { S3StorageConfig } from '../../config/config.ts';
import type { ListOptions, RecordChild, RecordStore } from '../record-store.ts';
import { sha256Of } from './payload-hash.ts';
import { S3Bucket } from './s3-bucket.ts';
import type { StoreClient } from './s3-client.ts';
import type { S3Deadlines } from './s3-deadlines.ts';
import { deleteTree, listChildren } from './s3-listing.ts';

const MAX_RECORD_BYTES = 4 * 1024 * 1024;

/** Records as objects of a bucket: a PutObject is atomic and durable, a listing sees what was put before it. */
export class S3RecordStore implements RecordStore {
  readonly #bucket: S3Bucket;

  constructor(client: StoreClient, config: S3StorageConfig, deadlines?: S3Deadlines) {
    this.#bucket = new S3Bucket(client, config, deadlines);
  }

  async get(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    return await this.#bucket.get({ operation: 'record.get', key, signal }, MAX_RECORD_BYTES);
  }

  async modifiedAt(key: string, signal: AbortSignal): Promise<Date | undefined> {
    return (await this.#bucket.head('record.modifiedAt', key, signal))?.modifiedAt;
  }

  async put(key: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
    const call = { operation: 'record.put', key, signal };
    await this.#bucket.put(call, bytes, await sha256Of(bytes));
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#bucket.delete('record.delete', key, signal);
  }

  async deleteTree(folder: string, signal: AbortSignal): Promise<void> {
    await deleteTree(this.#bucket, 'record.deleteTree', folder, signal);
  }

  async list(folder: string, options: ListOptions, signal: AbortSignal): Promise<RecordChild[]> {
    return await listChildren(this.#bucket, 'record.list', folder, options, signal);
  }
}
