import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { pullLabel, pushLabelled } from '../support/labelled-image.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { runSuccessfully } from '../support/run-command.ts';
import { type S3Server, startMinio } from '../support/start-s3.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { auditTestStore } from './audit-test-store.ts';

/** Sends a blob in one request and tells how it was answered. */
async function pushBlob(url: string, bytes: Buffer): Promise<Response> {
  const answer = await fetch(`${url}/v2/team/app/blobs/uploads/?digest=${digestOf(bytes)}`, {
    method: 'POST',
    body: new Uint8Array(bytes),
    headers: { 'Content-Type': 'application/octet-stream' },
  });
  await answer.arrayBuffer();
  return answer;
}

const blobStatus = async (url: string, bytes: Buffer): Promise<number> =>
  (await fetch(`${url}/v2/team/app/blobs/${digestOf(bytes)}`, { method: 'HEAD' })).status;

const MIB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;

(isRoot ? describe : describe.skip)('a push service on a full disk', () => {
  let dataDir: string;
  let push: TwinportProcess;

  beforeAll(async () => {
    dataDir = makeTempFolder('small-disk');
    await runSuccessfully('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', dataDir]);
    push = await startTwinport({ role: 'push', storage: { dataDir } });
    await pushLabelled(push.url, 'team/app', '1', 'before');
  });
  afterAll(async () => {
    await push.stop();
    await runSuccessfully('umount', [dataDir]);
    await removeTempFolder(dataDir);
  });

  test('answers 503 with Retry-After, lives, shows nothing half, and goes on when there is room', async () => {
    const tooBig = Buffer.alloc(16 * MIB, 'x');
    const answer = await pushBlob(push.url, tooBig);
    expect(answer.status).toBe(503);
    expect(answer.headers.get('Retry-After')).toMatch(/^\d+$/);
    expect(await blobStatus(push.url, tooBig)).toBe(404);
    expect(await pullLabel(push.url, 'team/app', '1')).toBe('before');
    expect(await auditTestStore({ dataDir })).toEqual([]);

    await pushLabelled(push.url, 'team/app', '2', 'after');
    expect(await pullLabel(push.url, 'team/app', '2')).toBe('after');
    expect((await pushBlob(push.url, Buffer.alloc(MIB, 'y'))).status).toBe(201);
  });
});

describe('both roles on a bucket that stops answering', () => {
  let server: S3Server;
  let push: TwinportProcess;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    server = await startMinio({ own: true });
    [push, mirror] = await Promise.all([
      startTwinport({ role: 'push', storage: server }),
      startTwinport({ role: 'mirror', storage: server }),
    ]);
    await pushLabelled(push.url, 'team/app', '1', 'before');
    expect(await pullLabel(mirror.url, 'team/app', '1')).toBe('before');
  });
  afterAll(async () => {
    server.resume();
    await Promise.all([push.stop(), mirror.stop()]);
    await server.stop();
  });

  test('answer 503 with Retry-After, are not ready but alive, and go on by themselves', async () => {
    server.pause();
    const pausedMs = performance.now();
    const bytes = Buffer.alloc(MIB, 'z');
    const answers = await Promise.all([
      pushBlob(push.url, bytes),
      fetch(`${push.url}/v2/team/app/manifests/1`),
      fetch(`${mirror.url}/v2/team/app/manifests/1`),
    ]);
    for (const answer of answers) {
      expect(answer.status).toBe(503);
      expect(answer.headers.get('Retry-After')).toMatch(/^\d+$/);
    }
    // Ten seconds for the store, the rest for a busy machine.
    expect(performance.now() - pausedMs).toBeLessThan(20_000);
    for (const { metricsUrl } of [push, mirror]) {
      expect((await fetch(`${metricsUrl}/readyz`)).status).toBe(503);
      expect((await fetch(`${metricsUrl}/livez`)).status).toBe(200);
    }

    server.resume();
    for (const { metricsUrl } of [push, mirror]) {
      await waitFor(async () => (await fetch(`${metricsUrl}/readyz`)).status === 200, {
        what: 'readiness to come back',
        timeoutMs: 60_000,
      });
    }
    expect(await pullLabel(push.url, 'team/app', '1')).toBe('before');
    expect(await pullLabel(mirror.url, 'team/app', '1')).toBe('before');
    expect((await pushBlob(push.url, bytes)).status).toBe(201);
    expect(await auditTestStore(server)).toEqual([]);
  });
});
