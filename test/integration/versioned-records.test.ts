import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll } from '@jest/globals';

import { createRedisIndex, type RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { ProcessLeases } from '../../shared/index/store/process-leases.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { UNOBSERVED } from '../../shared/observability/observer.ts';
import { describeVersionedRecords } from '../../shared/management/testing/versioned-records-contract.ts';
import type { VersionedRecordsDependencies } from '../../shared/management/versioned-records.ts';
import { probeS3 } from '../../shared/storage/s3/probe-s3.ts';
import { createS3Client, type StoreClient } from '../../shared/storage/s3/s3-client.ts';
import { S3ExclusiveRecords } from '../../shared/storage/s3/s3-exclusive-records.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { unreliableExclusive } from '../../shared/management/testing/exclusive-of-memory.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { PATIENT } from '../support/index-lab.ts';
import { s3StorageConfig } from '../support/s3-storage-config.ts';
import { type RedisServer, startRedis } from '../support/start-redis.ts';
import { type S3Server, startMinio, startVersitygw } from '../support/start-s3.ts';
import { waitFor } from '../support/wait-for.ts';

const unlogged = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

describeWithTools(['minio'], 'changes over minio', () => {
  let server: S3Server;
  let client: StoreClient;
  beforeAll(async () => {
    server = await startMinio();
    client = createS3Client(s3StorageConfig(server));
  });
  afterAll(async () => {
    client.destroy();
    await server.stop();
  });

  describeVersionedRecords('a bucket whose conditional writes work', () => {
    const config = s3StorageConfig(server, { prefix: `changes/${randomUUID()}` });
    const deps = (): VersionedRecordsDependencies => ({
      records: new S3RecordStore(client, config),
      exclusive: new S3ExclusiveRecords(client, config, {
        probe: (signal) => probeS3(client, config, { now: new Date(), signal }),
      }),
      leases: new ProcessLeases(systemClock),
    });
    return Promise.resolve({ replicas: [deps(), deps()], cleanUp: () => Promise.resolve() });
  });
});

describeWithTools(['versitygw', 'redis-server'], 'changes over versitygw', () => {
  let server: S3Server;
  let redis: RedisServer;
  let client: StoreClient;
  const shutdown = new AbortController();
  beforeAll(async () => {
    [server, redis] = await Promise.all([startVersitygw(), startRedis({ own: true })]);
    client = createS3Client(s3StorageConfig(server));
  });
  afterAll(async () => {
    shutdown.abort();
    client.destroy();
    await Promise.all([server.stop(), redis.stop()]);
  });

  describeVersionedRecords('a bucket that lets several writers win, with Redis', async () => {
    const config = s3StorageConfig(server, { prefix: `changes/${randomUUID()}` });
    const open: RedisIndex[] = [];
    const deps = async (): Promise<VersionedRecordsDependencies> => {
      const records = new S3RecordStore(client, config);
      const index = await createRedisIndex({
        url: redis.url,
        inner: createStoreIndex(records, systemClock),
        records,
        clock: systemClock,
        log: unlogged,
        observer: UNOBSERVED,
        trustSeconds: 20,
        shutdown: shutdown.signal,
        timing: PATIENT,
      });
      open.push(index);
      await waitFor(
        async () => {
          const lease = await index.leases.acquire(randomUUID(), 0, shutdown.signal);
          await lease?.release();
          return lease?.reach === 'store';
        },
        { what: 'leases of Redis', everyMs: 20 },
      );
      // What the probe says of this store is another test's; here the lease must do.
      return { records, exclusive: unreliableExclusive, leases: index.leases };
    };
    return {
      replicas: [await deps(), await deps()],
      cleanUp: async () => {
        await Promise.all(open.map((index) => index.close()));
      },
    };
  });
});
