import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';

import type { S3StorageConfig } from '../../config/config.ts';
import type { Digest } from '../../oci/digest.ts';
import type { BlobLinks } from '../blob-links.ts';
import { blobKey } from '../object-keys.ts';
import { storageFault } from './s3-errors.ts';

const CONTENT_TYPE = 'application/octet-stream';

/** Presigned GETs. `client` is only asked to sign: its endpoint is the one that clients of the registry reach. */
export class S3BlobLinks implements BlobLinks {
  readonly #client: S3Client;
  readonly #config: S3StorageConfig;
  readonly #lifeSeconds: number;

  constructor(client: S3Client, config: S3StorageConfig, lifeSeconds: number) {
    this.#client = client;
    this.#config = config;
    this.#lifeSeconds = lifeSeconds;
  }

  async sign(digest: Digest): Promise<string> {
    const { bucket, prefix } = this.#config;
    const key = blobKey(digest);
    const command = new GetObjectCommand({
      Bucket: bucket,
      Key: prefix === '' ? key : `${prefix}/${key}`,
      ResponseContentType: CONTENT_TYPE,
      // The bucket does not say that browsers must not guess: it is never shown, whatever is in it.
      ResponseContentDisposition: 'attachment',
    });
    try {
      return await getSignedUrl(this.#client, command, { expiresIn: this.#lifeSeconds });
    } catch (error) {
      // The credentials could not be had: nothing is sent to the store here.
      throw storageFault('blob.sign', key, error);
    }
  }
}
