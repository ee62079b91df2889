import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { findStoreTraits } from '../../services/stores/store-traits.ts';
import type { S3StorageConfig } from '../../shared/config/config.ts';
import { markStore } from '../../shared/content/store-probe.ts';
import { RecordedEdge } from '../../shared/http/testing/recorded-edge.ts';
import type { StoreTraits } from '../../shared/observability/health.ts';
import { probeS3 } from '../../shared/storage/s3/probe-s3.ts';
import { createS3Client, type StoreClient } from '../../shared/storage/s3/s3-client.ts';
import { defaultDeadlines } from '../../shared/storage/s3/s3-deadlines.ts';
import { S3RecordStore } from '../../shared/storage/s3/s3-record-store.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { listKeys, listOpenMultiparts } from '../support/list-bucket.ts';
import { startTwinport } from '../support/registry-process.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { s3StorageConfig } from '../support/s3-storage-config.ts';
import { type S3Server, startMinio, startVersitygw } from '../support/start-s3.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const SERVERS = [
  { name: 'minio', start: startMinio },
  { name: 'versitygw', start: startVersitygw },
] as const;
/** What both servers guarantee and the registry counts on. */
const SOUND = {
  writable: true,
  'read-after-write': true,
  'list-after-write': true,
  'list-after-delete': true,
  'listed-in-byte-order': true,
  'listing-after-a-key': true,
  'delete-of-what-is-not-there': true,
  'case-sensitive': true,
  'long-keys': true,
  ranges: true,
  copies: true,
  'copies-in-parts': true,
  'small-parts-are-refused': true,
  'put-if-absent': true,
  'put-if-unchanged': true,
};
const EMPTY_LIST =
  '<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>';

describe.each(SERVERS)('over $name', ({ name, start }) => {
  describeWithTools([name], `what a bucket of ${name} guarantees`, () => {
    let server: S3Server;
    let proxy: S3FaultProxy;
    let client: StoreClient;
    let config: S3StorageConfig;
    let edge: RecordedEdge;

    beforeAll(async () => {
      server = await start();
      proxy = await startS3FaultProxy(server.endpoint);
    });
    afterAll(async () => {
      await proxy.stop();
      await server.stop();
    });
    beforeEach(() => {
      config = s3StorageConfig(server, {
        endpoint: proxy.endpoint,
        prefix: `traits/${randomUUID()}`,
      });
      client = createS3Client(config);
      edge = new RecordedEdge();
    });
    afterEach(() => {
      proxy.clear();
      client.destroy();
    });

    const find = (signal = unending, deadlines = defaultDeadlines): Promise<StoreTraits> =>
      findStoreTraits(
        (ending) => probeS3(client, config, { now: new Date(), signal: ending, deadlines }),
        edge.log,
        signal,
      );
    const warnings = (): unknown[] =>
      edge.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields['trait']);
    const leftovers = async (): Promise<string[]> => {
      proxy.clear();
      return [
        ...(await listKeys(client, config.bucket, config.prefix)),
        ...(await listOpenMultiparts(client, config.bucket, config.prefix)),
      ];
    };

    test('is found and told, by several processes at once, and nothing is left', async () => {
      const found = await Promise.all([find(), find(), find()]);
      for (const traits of found) expect(traits).toMatchObject(SOUND);
      expect(warnings()).toEqual([]);
      expect(edge.lines.map(({ message }) => message)).toContain('what the store guarantees');
      expect(await leftovers()).toEqual([]);
    });

    if (name === 'minio') {
      test('includes one winner among conditional writers', async () => {
        expect(await find()).toMatchObject({
          'put-if-absent-has-one-winner': true,
          'put-if-unchanged-has-one-winner': true,
        });
      });
    }

    test('excludes what a store with stale listings and several winners does', async () => {
      const list = { kind: 'answer', status: 200, body: EMPTY_LIST } as const;
      proxy.inject({ operation: 'ListObjects', times: 4, fault: list });
      const win = { kind: 'answer', status: 200, body: '' } as const;
      proxy.inject({ operation: 'PutObject', key: /race\/absent/, fault: win });
      const traits = await find();
      expect(traits).toMatchObject({
        writable: true,
        'list-after-write': false,
        'put-if-absent-has-one-winner': false,
      });
      expect(warnings()).toContain('list-after-write');
      // Nothing here relies on conditional writes.
      expect(warnings()).not.toContain('put-if-absent-has-one-winner');
    });

    test('is not known of a bucket that refuses to be written, and nothing is tried there', async () => {
      const fault = { kind: 'refuse', status: 403, code: 'AccessDenied' } as const;
      proxy.inject({ operation: 'PutObject', fault });
      expect(await find()).toEqual({ writable: false });
      expect(edge.lines.map(({ message }) => message)).toEqual([
        'the store refuses to be written: nothing can be pushed or cached',
      ]);
      const records = new S3RecordStore(client, config);
      await expect(markStore(records, unending)).rejects.toThrow('the first start needs leave');
      expect(await leftovers()).toEqual([]);
    });

    test('is told as far as it could be found out', async () => {
      proxy.inject({ operation: 'CopyObject', fault: { kind: 'hang' } });
      const fault = { kind: 'refuse', status: 501, code: 'NotImplemented' } as const;
      proxy.inject({ operation: 'CreateMultipartUpload', fault });
      const impatient = { ...defaultDeadlines, heavyOperationMs: 300, operationMs: 300 };
      const traits = await find(unending, { ...impatient, firstByteMs: 300, operationMs: 3_000 });
      expect(traits).toMatchObject({
        'read-after-write': true,
        copies: 'unknown',
        'copies-in-parts': 'unknown',
      });
      expect(await leftovers()).toEqual([]);
    });

    test('is not waited for when the process ends', async () => {
      const controller = new AbortController();
      proxy.inject({ operation: 'GetObject', fault: { kind: 'hang' } });
      const finding = find(controller.signal);
      await waitFor(() => proxy.seen.some(({ operation }) => operation === 'GetObject'), {
        what: 'the probe to hang',
      });
      proxy.clear();
      controller.abort();
      await finding;
      expect(edge.lines).toEqual([]);
      expect(await leftovers()).toEqual([]);
    });

    test('leaves nothing of what the store does although it was not waited for', async () => {
      const controller = new AbortController();
      const operation = 'CreateMultipartUpload';
      proxy.inject({ operation, fault: { kind: 'lose-answer' } });
      const finding = find(controller.signal);
      await waitFor(() => proxy.seen.some((request) => request.operation === operation), {
        what: 'a multipart upload to be begun',
      });
      controller.abort();
      await finding;
      expect(await leftovers()).toEqual([]);
    });

    test('is cleaned up after a probe that was killed an hour ago, and not after one that runs', async () => {
      const records = new S3RecordStore(client, config);
      const at = (agoMs: number): string =>
        `twinport/v1/probe/run-${Date.now() - agoMs}-${randomUUID()}/left`;
      const [old, running] = [at(2 * 3_600_000), at(60_000)];
      await records.put(old, Buffer.from('x'), unending);
      await records.put(running, Buffer.from('x'), unending);
      await find();
      expect(await leftovers()).toEqual([`${config.prefix}/${running}`]);
    });

    test('is shown by /readyz', async () => {
      const push = await startTwinport({ role: 'push', storage: server });
      const shown = await waitFor(
        async () => {
          const answer = await fetch(`${push.metricsUrl}/readyz`);
          return ((await answer.json()) as { store?: StoreTraits }).store;
        },
        { what: 'the traits' },
      );
      expect(shown).toMatchObject(SOUND);
      await push.stop();
    });
  });
});

describe('over files', () => {
  test('what the file system guarantees is shown by /readyz, and nothing is left', async () => {
    const dataDir = makeTempFolder('traits');
    const push = await startTwinport({ role: 'push', storage: { dataDir } });
    const shown = await waitFor(
      async () => {
        const answer = await fetch(`${push.metricsUrl}/readyz`);
        return ((await answer.json()) as { store?: StoreTraits }).store;
      },
      { what: 'the traits' },
    );
    expect(shown).toEqual({
      writable: true,
      'case-sensitive': true,
      'folders-synchronised': true,
      'read-after-write': true,
      'list-after-write': true,
      'rename-replaces': true,
      'create-if-absent': true,
      'long-names': true,
    });
    expect(await readdir(path.join(dataDir, 'twinport/tmp'))).toEqual([]);
    await push.stop();
    await removeTempFolder(dataDir);
  });
});
