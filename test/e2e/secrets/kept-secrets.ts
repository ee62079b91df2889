import { createPrivateKey } from 'node:crypto';

import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { Redis } from 'ioredis';

import { internalSecretKey, tokenKeysFolder } from '../../../shared/storage/object-keys.ts';
import { listKeys } from '../../support/list-bucket.ts';
import type { Canaries } from './canaries.ts';
import type { GuardedRegistries } from './guarded-registries.ts';

/** What a bucket holds, by key. */
export type Stored = ReadonlyMap<string, Buffer>;

export async function readStore(
  s3: S3Client,
  { bucket: Bucket }: { readonly bucket: string },
): Promise<Stored> {
  const keys = await listKeys(s3, Bucket, '');
  const read = keys.map(async (Key): Promise<[string, Buffer]> => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    return [Key, Buffer.from((await Body?.transformToByteArray()) ?? [])];
  });
  return new Map(await Promise.all(read));
}

/** Secrets that lie in the store and nowhere else. Throws where they are not there. */
export function noteStored(canaries: Canaries, stored: Stored): void {
  const { secret } = recordAt(stored, internalSecretKey);
  const key = [...stored.keys()].find((name) => name.startsWith(`${tokenKeysFolder}/`)) ?? '';
  const { privateKey: pem } = recordAt(stored, key);
  if (secret === undefined || pem === undefined) throw new Error('the store keeps no secrets');
  canaries.note('the secret of the mirrors', secret);
  canaries.note('the key in the store', pem.split('\n')[1] ?? '');
  canaries.note('the key in the store', createPrivateKey(pem).export({ format: 'jwk' }).d ?? '');
}

const recordAt = (stored: Stored, key: string): { secret?: string; privateKey?: string } =>
  JSON.parse(stored.get(key)?.toString() ?? '{}') as { secret?: string; privateKey?: string };

/** Whose secrets stand in the objects of the bucket, or in their names, where they do not belong. */
export function inStore(canaries: Canaries, stored: Stored): readonly string[] {
  if (stored.size < 20) throw new Error('the store has next to nothing');
  return [...stored].flatMap(([key, bytes]) => {
    const isMeant = key === internalSecretKey || key.startsWith(`${tokenKeysFolder}/`);
    const inside = isMeant ? [] : canaries.in(key, bytes);
    return [...canaries.in('the names of the store', key), ...inside];
  });
}

/** Whether one of the objects has the text. */
export const isStored = (stored: Stored, text: string): boolean =>
  [...stored.values()].some((bytes) => bytes.includes(text));

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
