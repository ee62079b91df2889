import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';

import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';

import type { S3StorageConfig } from '../../config/config.ts';
import { defaultDeadlines, type S3Deadlines } from './s3-deadlines.ts';

/** Each pull holds a socket for as long as its client reads, so this bounds the concurrent pulls of one process. */
const MAX_SOCKETS = 1024;
/** How many idle connections are kept. */
const MAX_FREE_SOCKETS = 256;
/** The first try and three more, within the SDK's retry budget (standard mode: a token bucket per client). */
const MAX_ATTEMPTS = 4;

/**
 * The one S3 client of a process; whoever creates it destroys it. Checksums only where S3 demands them: several
 * S3-compatible servers refuse the SDK's CRC trailers, and our own SHA-256 proves more.
 */
export function createS3Client(
  config: S3StorageConfig,
  deadlines: S3Deadlines = defaultDeadlines,
): S3Client {
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_FREE_SOCKETS };
  return new S3Client({
    region: config.region,
    ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
    // A copy: the SDK writes into what it is given, and the configuration is frozen.
    ...(config.credentials === undefined ? {} : { credentials: { ...config.credentials } }),
    forcePathStyle: config.forcePathStyle,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    retryMode: 'standard',
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: new NodeHttpHandler({
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
      connectionTimeout: deadlines.connectMs,
      requestTimeout: deadlines.firstByteMs,
      throwOnRequestTimeout: true,
      // A socket is idle whenever a slow client makes us wait; bodies are watched by StoredBody instead.
      socketTimeout: 0,
    }),
  });
}
