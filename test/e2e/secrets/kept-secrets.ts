import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { Redis } from 'ioredis';

import { listKeys } from '../../support/list-bucket.ts';
import type { Canaries } from './canaries.ts';
import type { GuardedRegistries } from './guarded-registries.ts';

/** Whose secrets stand in the objects of the bucket, or in their names. */
export async function inStore(
  canaries: Canaries,
  s3: S3Client,
  { bucket: Bucket }: { readonly bucket: string },
): Promise<readonly string[]> {
  const keys = await listKeys(s3, Bucket, '');
  if (keys.length < 20) throw new Error('the store has next to nothing');
  const found = keys.map(async (Key) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
    return [...canaries.in('the names of the store', Key), ...canaries.in(Key, bytes)];
  });
  return (await Promise.all(found)).flat();
}

/** Whose secrets stand in Redis, as it writes down itself what it has. */
export async function inRedis(
  canaries: Canaries,
  { redis, redisPassword }: Pick<GuardedRegistries, 'redis' | 'redisPassword'>,
): Promise<readonly string[]> {
  const client = new Redis({ port: redis.port, password: redisPassword });
  try {
    const keys = await client.keys('*');
    if (keys.length < 5) throw new Error('Redis has next to nothing');
    const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
    return keys.flatMap((key, position) => {
      const dump = dumps[position] ?? Buffer.alloc(0);
      return canaries.in(`Redis ${key}`, Buffer.concat([Buffer.from(key), dump]));
    });
  } finally {
    client.disconnect();
  }
}
