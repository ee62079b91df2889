import { once } from 'node:events';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HeadBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { Redis } from 'ioredis';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { startProcess } from '../support/start-process.ts';
import { startRedis } from '../support/start-redis.ts';
import type { RedisServer } from '../support/start-redis.ts';
import { createTestS3Client, startMinio, startVersitygw } from '../support/start-s3.ts';

describe('startProcess', () => {
  test('a process that ends before it is ready fails with the end of its log', async () => {
    const start = startProcess({
      name: 'dies-early',
      command: process.execPath,
      args: ['-e', 'console.log("no such luck"); process.exit(3)'],
      isReady: () => false,
    });
    await expect(start).rejects.toThrow('no such luck');
  });

  test('a command that does not exist fails the start', async () => {
    const start = startProcess({
      name: 'nothing',
      command: '/nonexistent',
      args: [],
      isReady: () => true,
    });
    await expect(start).rejects.toThrow('did not start');
  });

  test('a process that ignores SIGTERM is killed when its time to stop is over', async () => {
    const stubborn = await startProcess({
      name: 'stubborn',
      command: process.execPath,
      args: [
        '-e',
        'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("up")',
      ],
      isReady: (logs) => logs.includes('up'),
      stopTimeoutMs: 200,
    });
    await expect(stubborn.stop()).resolves.toEqual({ code: null, signal: 'SIGKILL' });
  });
});

describeWithTools(['redis-server'], 'startRedis', () => {
  let server: RedisServer;
  let client: Redis;

  beforeAll(async () => {
    server = await startRedis({ own: true });
    client = new Redis(server.url);
    client.on('error', () => undefined);
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  test('flush removes every key', async () => {
    await client.set('a', '1');
    await server.flush();
    await expect(client.get('a')).resolves.toBeNull();
  });

  test('a paused server answers nothing until it is resumed', async () => {
    const impatient = client.duplicate({ commandTimeout: 300, maxRetriesPerRequest: 1 });
    impatient.on('error', () => undefined);
    await once(impatient, 'ready');
    server.pause();
    await expect(impatient.get('a')).rejects.toThrow();
    impatient.disconnect();
    server.resume();
    await expect(client.set('a', '1')).resolves.toBe('OK');
  });

  test('a restarted server is empty and listens on the same port', async () => {
    await client.set('a', '1');
    const before = server.pid;
    await server.restart();
    expect(server.pid).not.toBe(before);
    const second = new Redis(server.url);
    await expect(second.get('a')).resolves.toBeNull();
    second.disconnect();
  });
});

describe.each([
  { name: 'minio' as const, start: startMinio },
  { name: 'versitygw' as const, start: startVersitygw },
])('start-s3', ({ name, start }) => {
  describeWithTools([name], name, () => {
    test('the bucket exists and takes objects', async () => {
      const server = await start();
      const client = createTestS3Client(server);
      await client.send(new HeadBucketCommand({ Bucket: server.bucket }));
      await client.send(new PutObjectCommand({ Bucket: server.bucket, Key: 'a/b', Body: 'c' }));
      client.destroy();
      await server.stop();
    });
  });
});
