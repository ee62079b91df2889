import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullImage, pullManifest, pushImage } from '../support/registry-client.ts';
import { startTwinport } from '../support/registry-process.ts';
import type { TwinportProcess } from '../support/registry-process.ts';
import { sizeOf } from '../support/sizes.ts';
import { startUpstream } from '../support/start-upstream.ts';
import type { UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

describeWithTools(['registry'], 'a push service and a mirror over one folder', () => {
  const dataDir = makeTempFolder('data');
  const servers = new OwnedServers();
  let upstream: UpstreamRegistry;
  let push: TwinportProcess;
  let mirror: TwinportProcess;

  const startBoth = async (): Promise<void> => {
    const common = { storage: { dataDir }, upstreamUrl: upstream.url } as const;
    push = await servers.own(startTwinport({ ...common, role: 'push' }));
    mirror = await servers.own(
      startTwinport({ ...common, role: 'mirror', env: { PUSH_PUBLIC_URL: push.url } }),
    );
  };

  beforeAll(async () => {
    upstream = await servers.own(startUpstream());
    await startBoth();
  });
  afterAll(() => servers.stopAll());

  test('the mirror refuses a push and says where to push, the push service takes it, both serve it', async () => {
    const image = makeImage();
    const refused = await fetch(`${mirror.url}/v2/team/app/blobs/uploads/`, { method: 'POST' });
    expect(refused.status).toBe(405);
    expect(refused.headers.get('allow')).toMatch(/GET/);
    const { errors } = (await refused.json()) as { errors: { code: string; message: string }[] };
    expect(errors[0]?.code).toBe('UNSUPPORTED');
    expect(JSON.stringify(errors)).toContain(push.url);

    await pushImage(push.url, 'team/app', '1', image);
    expect((await pullImage(push.url, 'team/app', '1')).bytes).toEqual(image.manifest.bytes);
    expect((await pullImage(mirror.url, 'team/app', '1')).bytes).toEqual(image.manifest.bytes);
  });

  test('what was pushed and what was cached survives a restart, also one by SIGKILL and with the upstream gone', async () => {
    const pushed = makeImage();
    const cached = makeImage();
    await pushImage(push.url, 'team/kept', '1', pushed);
    await pushImage(upstream.directUrl, 'library/kept', '1', cached);
    await pullImage(mirror.url, 'library/kept', '1');
    await waitUntilHeld('mirror/library/kept', cached.manifest.digest);

    push.kill('SIGKILL');
    await push.ended;
    await Promise.all([push.stop(), mirror.stop(), upstream.goDown()]);
    await startBoth();
    try {
      for (const { url } of [push, mirror]) {
        expect((await pullImage(url, 'team/kept', '1')).bytes).toEqual(pushed.manifest.bytes);
      }
      expect((await pullImage(mirror.url, 'library/kept', '1')).bytes).toEqual(
        cached.manifest.bytes,
      );
      expect((await pullImage(push.url, 'mirror/library/kept', '1')).bytes).toEqual(
        cached.manifest.bytes,
      );
    } finally {
      await upstream.comeBack();
    }
  });

  test('many clients pull one cold image at once and the upstream sees one GET for each blob', async () => {
    const image = makeImage({ layerBytes: [sizeOf('coldLayerBytes'), 100_000, 1] });
    await pushImage(upstream.directUrl, 'library/cold', '1', image);
    upstream.resetCounts();

    const clients = Array.from({ length: sizeOf('coldClients') }, () =>
      pullImage(mirror.url, 'library/cold', '1'),
    );
    for (const manifest of await Promise.all(clients))
      expect(manifest.bytes).toEqual(image.manifest.bytes);

    for (const { digest } of image.blobs) {
      expect([digest, upstream.counts.get(`GET /v2/library/cold/blobs/${digest}`)]).toEqual([
        digest,
        1,
      ]);
    }
    await pullImage(mirror.url, 'library/cold', '1');
    for (const { digest } of image.blobs) {
      expect([digest, upstream.counts.get(`GET /v2/library/cold/blobs/${digest}`)]).toEqual([
        digest,
        1,
      ]);
    }
  });

  /** The push service serves cached content once it is held: its answer tells that the fill has been stored. */
  async function waitUntilHeld(repo: string, digest: string): Promise<void> {
    await waitFor(async () => (await pullManifest(push.url, repo, digest)).digest === digest, {
      what: `${repo} to be held`,
    });
  }
});
