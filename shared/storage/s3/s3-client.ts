import { S3Client } from '@aws-sdk/client-s3';

import type { S3StorageConfig } from '../../config/config.ts';
import { PartPool } from './part-pool.ts';
import { PlainRequests } from './plain-requests.ts';
import { PooledHttpHandler } from './pooled-http-handler.ts';
import { DEFAULT_RETRIES, RetryBudget } from './retry-budget.ts';
import { defaultDeadlines, type S3Deadlines } from './s3-deadlines.ts';

/**
 * The SDK's client, a shorter way for what is asked most, and what the uploads share; destroying it ends the connections
 * of both.
 */
export class StoreClient extends S3Client {
  readonly plain: PlainRequests;
  readonly parts: PartPool;

  constructor(config: S3StorageConfig, deadlines: S3Deadlines) {
    const budget = new RetryBudget(DEFAULT_RETRIES);
    super({
      region: config.region,
      ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
      // A copy: the SDK writes into what it is given, and the configuration is frozen.
      ...(config.credentials === undefined ? {} : { credentials: { ...config.credentials } }),
      forcePathStyle: config.forcePathStyle,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      retryStrategy: budget,
      maxAttempts: DEFAULT_RETRIES.refused.maxAttempts,
      requestHandler: new PooledHttpHandler(deadlines, config.maxPulls),
    });
    this.plain = new PlainRequests(this, deadlines, () => budget.countAnswered());
    this.parts = new PartPool({
      blockBytes: config.partBytes,
      partsInFlight: config.partsInFlight,
    });
  }

  override destroy(): void {
    this.plain.destroy();
    this.parts.close();
    super.destroy();
  }
}

/**
 * The one S3 client of a process; whoever creates it destroys it. Checksums only where S3 demands them: several
 * S3-compatible servers refuse the SDK's CRC trailers, and our own SHA-256 proves more.
 */
export function createS3Client(
  config: S3StorageConfig,
  deadlines: S3Deadlines = defaultDeadlines,
): StoreClient {
  return new StoreClient(config, deadlines);
}
