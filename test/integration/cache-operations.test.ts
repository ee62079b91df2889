import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { type FakeUpstream, startFakeUpstream } from '../support/fake-upstream.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullImage, pushImage } from '../support/registry-client.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { twinport } from '../support/twinport-command.ts';
import { waitFor } from '../support/wait-for.ts';

describe('what an operator sees and says of the cache, with both roles over one folder', () => {
  const servers = new OwnedServers();
  const storage = { dataDir: makeTempFolder('data') };
  const [warm, cold, pushed] = [makeImage(), makeImage({ layerBytes: [50_000] }), makeImage()];
  let upstream: FakeUpstream;
  let push: TwinportProcess;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    upstream = await servers.own(startFakeUpstream());
    upstream.addImage('library/warm', '1', warm);
    upstream.addImage('library/cold', '1', cold);
    const list = path.join(makeTempFolder('warm'), 'images.txt');
    writeFileSync(list, '# what every node runs\nwarm:1\n');
    const common = { storage, upstreamUrl: upstream.url } as const;
    const env = {
      WARM_FILE: list,
      WARM_SCHEDULE: '6h',
      UPSTREAMS: JSON.stringify([{ project: 'mirror', tagTtlSeconds: 0, completeBytes: 0 }]),
    };
    [push, mirror] = await Promise.all([
      servers.own(startTwinport({ ...common, role: 'push' })),
      servers.own(startTwinport({ ...common, role: 'mirror', env })),
    ]);
    await pushImage(push.url, 'team/app', '1', pushed);
  });
  afterAll(() => servers.stopAll());

  const pull = async (where: TwinportProcess, name: string): Promise<Response> => {
    const answer = await fetch(`${where.url}/v2/${name}`);
    await answer.clone().arrayBuffer();
    return answer;
  };

  test('a list of images is held without anybody asking for them, when the mirror starts', async () => {
    await waitFor(
      async () => (await pull(push, 'mirror/library/warm/manifests/1')).status === 200,
      {
        what: 'the list to be held',
      },
    );
    const image = await pullImage(push.url, 'mirror/library/warm', '1');
    expect(image.bytes).toEqual(warm.manifest.bytes);
  });

  test('each answer tells where it came from, explain tells why, and the metrics add it up', async () => {
    const told: unknown[] = [];
    const note = async (): Promise<void> => {
      const { headers } = await pull(mirror, 'cold/manifests/1');
      told.push(headers.get('x-cache'), headers.get('warning'));
    };
    await note();
    for (const { digest } of cold.blobs) await pull(mirror, `cold/blobs/${digest}`);
    await waitFor(
      async () => (await pull(push, 'mirror/library/cold/manifests/1')).status === 200,
      { what: 'the image to be held' },
    );
    await note();
    await upstream.goDown();
    await note();
    await upstream.comeBack();
    expect(told).toEqual([
      expect.stringMatching(/^MISS; upstream=mirror; age=\d+$/),
      null,
      expect.stringMatching(/^HIT; upstream=mirror; age=\d+$/),
      null,
      expect.stringMatching(/^STALE; upstream=mirror; age=\d+$/),
      expect.stringMatching(/^299 - "served from the cache, last confirmed .+: .+"$/),
    ]);

    const explained = await fetch(`${mirror.url}/api/v1/explain?ref=cold:1`);
    expect(await explained.json()).toMatchObject({
      kind: 'upstream',
      why: expect.any(String) as unknown,
      repository: 'mirror/library/cold',
      upstream: { project: 'mirror', url: upstream.url, verdict: 'public' },
      tag: {
        digest: cold.manifest.digest,
        lastCheckAt: expect.any(String) as unknown,
        nextCheckAt: expect.any(String) as unknown,
      },
      manifest: { holding: 'complete' },
    });

    const metrics = await (await fetch(`${mirror.metricsUrl}/metrics`)).text();
    const bytes = cold.blobs.reduce((sum, blob) => sum + blob.bytes.length, 0);
    for (const line of [
      'registry_proxy_requests_total{type="manifest"} 3',
      'registry_proxy_misses_total{type="manifest"} 1',
      'registry_proxy_hits_total{type="manifest"} 1',
      'registry_proxy_stale_total{type="manifest"} 1',
      `registry_proxy_pushed_bytes_total{type="blob"} ${bytes}`,
      'registry_mirror_pulls_total{upstream="mirror",type="manifest",outcome="stale"} 1',
      'registry_mirror_fills_running{upstream="mirror"} 0',
    ]) {
      expect(metrics.split('\n')).toContain(line);
    }
    expect(metrics).toMatch(/^registry_mirror_saved_bytes\{upstream="mirror"\} -?\d+$/m);
  });

  test('what is blocked is denied by both roles with the reason, until it is taken back', async () => {
    const cases = [
      ['mirror/library/warm:1', 'mirror/library/warm/manifests/1', mirror],
      ['mirror/library/warm:1', 'mirror/library/warm/manifests/1', push],
      [pushed.manifest.digest, 'team/app/manifests/1', mirror],
      [pushed.manifest.digest, `team/app/manifests/${pushed.manifest.digest}`, push],
    ] as const;
    const each = async (command: (reference: string) => string): Promise<void> => {
      const references = [...new Set(cases.map(([reference]) => reference))];
      const runs = references.map((reference) => twinport(command(reference), storage));
      for (const run of await Promise.all(runs)) expect(run).toMatchObject({ code: 0 });
    };
    await each((reference) => `block ${reference} --reason CVE-1`);
    for (const [, path, where] of cases) {
      const answer = await waitFor(
        async () => {
          const asked = await pull(where, path);
          return asked.status === 403 && asked;
        },
        { what: `${path} to be denied`, timeoutMs: 15_000 },
      );
      expect(await answer.text()).toMatch(/DENIED.*CVE-1/);
    }
    await each((reference) => `unblock ${reference}`);
    for (const [, path, where] of cases) {
      await waitFor(async () => (await pull(where, path)).status === 200, {
        what: `${path} to be served again`,
        timeoutMs: 15_000,
      });
    }
  });
});
