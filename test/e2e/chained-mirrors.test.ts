import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { clientProgram } from '../support/client-program.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type DistributionRegistry, startDistribution } from '../support/distribution.ts';
import { requireTool } from '../support/find-tool.ts';
import { type FixtureImage, makeImage, makeIndex } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullImage, pullManifest, pushImage, pushIndex } from '../support/registry-client.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { runCommand } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const newStore = (): { dataDir: string } => ({ dataDir: makeTempFolder('data') });
/** It fetches only what is asked for: what the background completes first would not be counted as warmed. */
const mirrorOf = (upstreamUrl: string): Promise<TwinportProcess> =>
  startTwinport({
    role: 'mirror',
    storage: newStore(),
    upstreamUrl,
    env: { UPSTREAMS: JSON.stringify([{ project: 'mirror', completeBytes: 0 }]) },
  });

describe('mirrors in a chain', () => {
  const servers = new OwnedServers();
  let push: TwinportProcess;
  let inner: TwinportProcess;
  let outer: TwinportProcess;

  beforeAll(async () => {
    push = await servers.own(startTwinport({ role: 'push', storage: newStore() }));
    inner = await servers.own(mirrorOf(push.url));
    outer = await servers.own(mirrorOf(inner.url));
  });
  afterAll(() => servers.stopAll());

  const pushed = async (name: string): Promise<FixtureImage> => {
    const image = makeImage({ layerBytes: [300_000] });
    await pushImage(push.url, name, '1', image);
    return image;
  };

  test('Twinport behind Twinport: HEAD of a cold blob, a range of it, and the whole image', async () => {
    const image = await pushed('team/chained');
    const layer = image.blobs.at(-1)!;
    const blob = `${outer.url}/v2/team/chained/blobs/${layer.digest}`;
    const head = await fetch(blob, { method: 'HEAD' });
    expect([head.status, Number(head.headers.get('content-length'))]).toEqual([
      200,
      layer.bytes.length,
    ]);
    const part = await fetch(blob, { headers: { range: 'bytes=100000-100099' } });
    expect(part.status).toBe(206);
    expect(part.headers.get('content-range')).toBe(`bytes 100000-100099/${layer.bytes.length}`);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(layer.bytes.subarray(100_000, 100_100));
    const manifest = await pullImage(outer.url, 'team/chained', '1');
    expect(manifest.bytes).toEqual(image.manifest.bytes);
  });

  test('twinport warm fills every mirror of the chain, and twinport explain tells what is held', async () => {
    const index = makeIndex(['amd64', 'arm64']);
    await pushIndex(push.url, 'team/warm', '1', index);
    const list = path.join(makeTempFolder('warm'), 'images.txt');
    writeFileSync(list, '# what the cluster runs\n\nteam/warm:1\nteam/none:1\n');
    const call = (...words: string[]): ReturnType<typeof runCommand> =>
      runCommand(process.execPath, [PROGRAM, ...words], { env: { PATH: process.env['PATH'] } });
    const server = ['--server', outer.url];
    const first = await call('warm', list, ...server, '--platform', 'linux/arm64');
    expect([first.code, first.stdout]).toEqual([
      1,
      expect.stringMatching(
        /^team\/warm:1: fetched 2 of 2 blobs, \d+ bytes\n1 of 2 images held, 1 failed; /,
      ),
    ]);
    expect(first.stderr).toContain('team/none:1: 404 MANIFEST_UNKNOWN');
    writeFileSync(list, 'team/warm:1');
    const again = await call('warm', list, ...server, '--platform', 'linux/arm64');
    expect([again.code, again.stdout]).toEqual([
      0,
      'team/warm:1: held already\n1 of 1 images held; 0 bytes fetched\n',
    ]);
    for (const { url } of [inner, outer]) {
      const told = await call('explain', 'team/warm:1', '--server', url);
      expect(told.code).toBe(0);
      expect(told.stdout).toContain('because     team names no project here and no upstream');
      expect(told.stdout).toMatch(/linux\/arm64 +complete/);
      expect(told.stdout).toMatch(/linux\/amd64 +none/);
    }
    expect((await call('warm', list)).code).toBe(2);
  });

  describeWithTools(['cosign', 'regctl'], 'with signatures', () => {
    test('cosign verifies and regctl lists what refers to an image, through both mirrors', async () => {
      const { manifest } = await pushed('team/signed');
      const cosign = clientProgram('cosign', {
        env: { COSIGN_PASSWORD: 'test', COSIGN_EXPERIMENTAL: '1' },
      });
      const regctl = clientProgram('regctl');
      await cosign.run('generate-key-pair');
      const [privateKey, publicKey] = ['cosign.key', 'cosign.pub'].map((name) =>
        path.join(cosign.home, name),
      );
      const there = (host: string): string => `${host}/team/signed@${manifest.digest}`;
      await cosign.run(
        ...['sign', '--yes', '--tlog-upload=false', '--key', privateKey!],
        ...['--registry-referrers-mode=oci-1-1', there(push.host)],
      );
      const verifying = [
        '--insecure-ignore-tlog=true',
        '--key',
        publicKey!,
        '--experimental-oci11',
      ];
      for (const { host } of [inner, outer]) {
        expect(await cosign.run('verify', ...verifying, there(host))).toContain(manifest.digest);
        await regctl.run('registry', 'set', '--skip-check', '--tls=disabled', host);
        const format = '{{range .Descriptors}}{{println .ArtifactType}}{{end}}';
        const listed = await regctl.run('artifact', 'list', there(host), '--format', format);
        expect(listed).toContain('application/vnd.dev.cosign');
      }
    });
  });

  describeWithTools(['promtool'], 'with metrics', () => {
    test('promtool finds nothing wrong with our metrics at a mirror that has served', async () => {
      await pullManifest(outer.url, 'team/warm', '1');
      const metrics = await (await fetch(`${outer.metricsUrl}/metrics`)).text();
      expect(metrics).toContain('registry_mirror_pulls_total{upstream="mirror"');
      const file = path.join(makeTempFolder('metrics'), 'metrics.txt');
      writeFileSync(file, metrics);
      const script = '"$0" check metrics < "$1"';
      const checked = await runCommand('sh', ['-c', script, requireTool('promtool'), file]);
      // Node's own metrics have names of the client library's choice.
      const complaints = `${checked.stdout}${checked.stderr}`.split('\n');
      expect(complaints.filter((line) => line !== '' && !line.startsWith('nodejs_'))).toEqual([]);
    });
  });

  describeWithTools(['registry'], "with distribution's proxy", () => {
    let before: DistributionRegistry;
    let behind: TwinportProcess;

    beforeAll(async () => {
      before = await servers.own(startDistribution(newStore(), { proxyOf: outer.url }));
      behind = await servers.own(
        startDistribution(newStore(), { proxyOf: push.url }).then(async (proxy) => {
          const mirror = await mirrorOf(proxy.url);
          return {
            ...mirror,
            stop: async () => {
              const end = await mirror.stop();
              await proxy.stop();
              return end;
            },
          };
        }),
      );
    });

    test.each(['in front of', 'behind'] as const)(
      '%s Twinport: an image is pulled whole, and again from what is kept',
      async (place) => {
        const name = `team/${place === 'behind' ? 'behind' : 'before'}`;
        const image = await pushed(name);
        const { url } = place === 'behind' ? behind : before;
        expect((await pullImage(url, name, '1')).bytes).toEqual(image.manifest.bytes);
        const layer = image.blobs.at(-1)!;
        const blob = `${url}/v2/${name}/blobs/${layer.digest}`;
        await waitFor(async () => (await fetch(blob, { method: 'HEAD' })).status === 200, {
          what: `${name} to be held`,
        });
        expect((await pullImage(url, name, '1')).bytes).toEqual(image.manifest.bytes);
      },
    );
  });
});

const PROGRAM = path.resolve(import.meta.dirname, '..', '..', 'services', 'twinport.ts');
