import { text } from 'node:stream/consumers';

import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';

import { sha256Of } from './payload-hash.ts';
import type { S3Bucket } from './s3-bucket.ts';
import type { S3Call } from './timed-call.ts';
import { isPreconditionFailed } from './s3-errors.ts';

/** A condition under which an object is written. */
export interface PutCondition {
  readonly IfNoneMatch?: '*';
  readonly IfMatch?: string;
}

/** Small objects in the folder of one probe, by their names in it. */
export class ProbeObjects {
  readonly bucket: S3Bucket;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly #lingering: AbortSignal;

  /** `lingering` aborts some time after `signal`. */
  constructor(bucket: S3Bucket, folder: string, signal: AbortSignal, lingering: AbortSignal) {
    this.bucket = bucket;
    this.folder = folder;
    this.signal = signal;
    this.#lingering = lingering;
  }

  call(name: string): S3Call {
    return { operation: 'store.probe', key: `${this.folder}/${name}`, signal: this.signal };
  }

  /**
   * For what leaves something in the store. None begins after the probe was aborted, and one that has begun may come to
   * its end: a request that is broken off may be carried out all the same, after the probe was tidied up.
   */
  change(name: string): S3Call {
    this.signal.throwIfAborted();
    return { ...this.call(name), signal: this.#lingering };
  }

  /** Bytes of the key below the root of the store. */
  keyLength(name: string): number {
    return Buffer.byteLength(`${this.folder}/${name}`);
  }

  async put(name: string, content: string): Promise<void> {
    const bytes = Buffer.from(content);
    await this.bucket.put(this.change(name), bytes, await sha256Of(bytes));
  }

  async get(name: string, range?: string): Promise<string | undefined> {
    const opened = await this.bucket.open({ ...this.call(name), isSmall: true }, range);
    return opened === undefined || opened === 'refused' ? undefined : await text(opened.stream);
  }

  async delete(name: string): Promise<void> {
    const { operation, key, signal } = this.call(name);
    await this.bucket.delete(operation, key, signal);
  }

  async etag(name: string): Promise<string | undefined> {
    const { operation, key, signal } = this.call(name);
    return (await this.bucket.head(operation, key, signal))?.etag;
  }

  /** Whether the store wrote it; false when the condition did not hold. */
  async putIf(name: string, content: string, condition: PutCondition): Promise<boolean> {
    const { bucket } = this;
    const call = { ...this.change(name), bodyBytes: content.length };
    const command = new PutObjectCommand({ ...bucket.at(call.key), Body: content, ...condition });
    return await bucket.tell(call, (options) =>
      bucket.client.send(command, options).then(
        () => true,
        (error: unknown) => {
          if (isPreconditionFailed(error)) return false;
          throw error;
        },
      ),
    );
  }

  /** The names in a folder of the probe, as the store orders them, at most 1,000. */
  async list(folder: string, after?: string): Promise<string[]> {
    const { bucket } = this;
    const prefix = `${bucket.rootPrefix}${this.folder}/${folder}/`;
    const command = new ListObjectsV2Command({
      Bucket: bucket.name,
      Prefix: prefix,
      ...(after === undefined ? {} : { StartAfter: prefix + after }),
    });
    const page = await bucket.tell({ ...this.call(folder), isSlow: true }, (options) =>
      bucket.client.send(command, options),
    );
    return (page.Contents ?? []).map(({ Key }) => Key?.slice(prefix.length) ?? '');
  }
}
