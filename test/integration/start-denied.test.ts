import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { startDistribution } from '../support/distribution.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pushImage } from '../support/registry-client.ts';
import { startTwinport } from '../support/registry-process.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { startMinio, type S3Server } from '../support/start-s3.ts';
import { twinport } from '../support/twinport-command.ts';

describeWithTools(['minio', 'registry'], 'over a bucket that another registry wrote', () => {
  const servers = new OwnedServers();
  let minio: S3Server;
  let proxy: S3FaultProxy;

  beforeAll(async () => {
    minio = await servers.own(startMinio());
    proxy = await servers.own(startS3FaultProxy(minio.endpoint));
    const distribution = await servers.own(startDistribution(minio));
    await pushImage(distribution.url, 'old/app', '1', makeImage());
  });
  afterAll(() => servers.stopAll());

  const denied = { kind: 'refuse', status: 403, code: 'AccessDenied' } as const;
  const throughProxy = () => ({ ...minio, endpoint: proxy.endpoint });

  test.each(['push', 'mirror'] as const)(
    'the %s role that may only read ends and says that it has to write',
    async (role) => {
      proxy.clear();
      for (const operation of ['PutObject', 'DeleteObject', 'CreateMultipartUpload'] as const) {
        proxy.inject({ operation, fault: denied });
      }
      await expect(startTwinport({ role, storage: throughProxy() })).rejects.toThrow(
        /does not start: .*cannot be written .*the first start needs leave to write.*AccessDenied \(403\)/,
      );
    },
  );

  test('keys without rights end the start at once, and the message names the bucket and what they need', async () => {
    proxy.clear();
    proxy.inject({ operation: 'ListObjects', fault: denied });
    const message = new RegExp(
      `does not start: .*the bucket ${minio.bucket} at \\S+ cannot be used with these keys \\(AccessDenied\\): they need the right`,
    );
    await expect(startTwinport({ role: 'push', storage: throughProxy() })).rejects.toThrow(message);
  });

  test('wrong keys end the start at once', async () => {
    const storage = { ...minio, secretAccessKey: 'not-the-secret' };
    await expect(startTwinport({ role: 'push', storage })).rejects.toThrow(
      /cannot be used with these keys \(SignatureDoesNotMatch\)/,
    );
  });

  test('a command says so too, and that a bucket holds no registry', async () => {
    const wrong = await twinport('export-check', { ...minio, secretAccessKey: 'not-the-secret' });
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/the bucket \S+ at \S+ cannot be read: .*SignatureDoesNotMatch/);
    const empty = await twinport('index rebuild', minio, { S3_PREFIX: 'elsewhere' });
    expect(empty.code).toBe(2);
    expect(empty.stderr).toContain(`there is no registry in the bucket ${minio.bucket}/elsewhere`);
  });
});
