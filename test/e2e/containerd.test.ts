import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { pushLabelled } from '../support/labelled-image.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { type ContainerdDaemon, startContainerd } from '../support/start-containerd.ts';
import { startUpstream, type UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

describeWithTools(['containerd', 'ctr', 'registry'], 'containerd with hosts.toml', () => {
  const servers = new OwnedServers();
  let upstream: UpstreamRegistry;
  let push: TwinportProcess;
  let mirror: TwinportProcess;
  let containerd: ContainerdDaemon;

  beforeAll(async () => {
    upstream = await servers.own(startUpstream());
    await pushLabelled(upstream.directUrl, 'library/hello', '1', 'hub hello');
    await pushLabelled(upstream.directUrl, 'team/app', '1', 'hub team/app');
    const common = { storage: { dataDir: makeTempFolder('data') }, upstreamUrl: upstream.url };
    const env = { PUBLIC_HOSTS: 'registry.example:5000' };
    push = await servers.own(startTwinport({ ...common, role: 'push', env }));
    mirror = await servers.own(startTwinport({ ...common, role: 'mirror', env }));
    await pushLabelled(push.url, 'team/app', '1', 'ours team/app');
    containerd = await servers.own(startContainerd());
    const host = `[host."${mirror.url}"]\n  capabilities = ["pull", "resolve"]\n`;
    // Nobody listens at the server, so what comes has come through the mirror.
    containerd.configureHost('docker.io', `server = "http://127.0.0.1:1"\n${host}`);
    containerd.configureHost('registry.example:5000', `server = "http://127.0.0.1:1"\n${host}`);
  }, 120_000);
  afterAll(() => servers.stopAll());

  const fetched = async (reference: string): Promise<void> => {
    const { code, stderr } = await containerd.fetch(reference);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  };

  test('pulls an official image with ns=docker.io', async () => {
    await fetched('docker.io/library/hello:1');
    expect(upstream.counts.get('GET /v2/library/hello/manifests/1')).toBe(1);
  });

  test('gets Docker Hub’s image of a name that was also pushed here', async () => {
    upstream.resetCounts();
    await fetched('docker.io/team/app:1');
    expect(upstream.counts.get('GET /v2/team/app/manifests/1')).toBe(1);
  });

  test('pulls a pushed image under this registry’s own host without asking the upstream', async () => {
    upstream.resetCounts();
    await fetched('registry.example:5000/team/app:1');
    expect([...upstream.counts.keys()]).toEqual([]);
  });

  test('pulls again while the upstream is down', async () => {
    await upstream.goDown();
    await fetched('docker.io/library/hello:1');
    await upstream.comeBack();
  });

  test('is told what neither has', async () => {
    const { code, stderr } = await containerd.fetch('docker.io/library/nothing:1');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/not found|connection refused/);
  });
});
