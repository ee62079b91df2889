import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { type Digest, digestOf } from '../../shared/oci/digest.ts';
import { blobKey } from '../../shared/storage/object-keys.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import {
  startTwinport,
  type TwinportOptions,
  type TwinportProcess,
} from '../support/registry-process.ts';
import { startMinio } from '../support/start-s3.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { ask, pulledBlob } from '../support/upload-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { auditTestStore } from './audit-test-store.ts';
import { overwriteStored } from './overwrite-stored.ts';

describe.each([
  { store: 'files', tools: [] },
  { store: 'a bucket', tools: ['minio'] },
] as const)('over $store', ({ store, tools }) => {
  describeWithTools(tools, 'a blob whose stored bytes rotted', () => {
    const servers = new OwnedServers();
    let storage: TwinportOptions['storage'];
    let push: TwinportProcess;
    let mirror: TwinportProcess;

    beforeAll(async () => {
      storage =
        store === 'files' ? { dataDir: makeTempFolder('rotten') } : await servers.own(startMinio());
      [push, mirror] = await Promise.all([
        servers.own(startTwinport({ role: 'push', storage })),
        servers.own(startTwinport({ role: 'mirror', storage })),
      ]);
    });
    afterAll(() => servers.stopAll());

    const upload = async (digest: Digest, body: Buffer): Promise<void> => {
      const path = `/v2/team/app/blobs/uploads/?digest=${digest}`;
      expect((await ask(push.url, { method: 'POST', path, body })).status).toBe(201);
    };
    const statusOf = async (url: string, digest: Digest): Promise<number> =>
      (await fetch(`${url}/v2/team/app/blobs/${digest}`, { method: 'HEAD' })).status;

    test.each([
      ['a large one', 3_000_000],
      ['a small one', 3_000],
      ['one byte', 1],
    ])('is never served whole: %s is absent until it was pushed again', async (_, size) => {
      const bytes = randomBytes(size);
      const digest = digestOf(bytes);
      await upload(digest, bytes);
      const rotten = Buffer.from(bytes);
      rotten[size >> 1]! ^= 1;
      await overwriteStored(storage, blobKey(digest), rotten);
      for (const { url, metricsUrl } of [push, mirror]) {
        expect(await statusOf(url, digest)).toBe(200);
        const served = await pulledBlob(url, 'team/app', digest).catch(() => 'cut');
        // A small one is known to be rotten before the first byte of the answer.
        expect([undefined, 'cut']).toContain(served);
        expect(await statusOf(url, digest)).toBe(404);
        const metrics = await (await fetch(`${metricsUrl}/metrics`)).text();
        expect(metrics).toMatch(/registry_storage_damage_total\{kind="blob-damaged"[^}]*\} [1-9]/);
      }
      await waitFor(() => push.logs().includes(digest), { what: 'the log to tell of it' });
      await upload(digest, bytes);
      for (const { url } of [push, mirror]) {
        expect(await statusOf(url, digest)).toBe(200);
        expect(await pulledBlob(url, 'team/app', digest)).toEqual({ digest, size });
      }
      expect(await auditTestStore(storage)).toEqual([]);
    });
  });
});
