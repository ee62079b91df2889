import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../../support/describe-with-tools.ts';
import { type MirrorLab, startMirrorLab } from '../../support/mirror-lab.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage } from '../../support/registry-client.ts';
import { startBuildkitd } from '../../support/start-buildkitd.ts';
import { type DockerDaemon, DOCKER_TOOLS, startDockerd } from '../../support/start-dockerd.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const TOOLS = [...DOCKER_TOOLS['29'], 'buildkitd', 'buildctl', 'registry'] as const;

describeWithTools(TOOLS, 'a mirror of several registries', () => {
  const servers = new OwnedServers();
  const dockerFolder = makeTempFolder('etc-docker');
  let lab: MirrorLab;
  let docker: DockerDaemon;

  /** Writes /etc/docker/certs.d/<registry>/hosts.toml, with nothing else beside it. */
  const configureDocker = (registry: string, url: string): void => {
    rmSync(path.join(dockerFolder, 'certs.d'), { recursive: true, force: true });
    const folder = path.join(dockerFolder, 'certs.d', registry);
    mkdirSync(folder, { recursive: true });
    const hostsToml = `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
    writeFileSync(path.join(folder, 'hosts.toml'), hostsToml);
  };
  const pullOf = async (name: string): Promise<string> => {
    const { code, stdout, stderr } = await docker.docker('pull', name);
    if (code === 0) await docker.succeed('rmi', name);
    return code === 0 ? stdout : stderr;
  };
  const requests = (): number => lab.mirror.logs().split('"operation":').length;

  beforeAll(async () => {
    lab = await startMirrorLab(servers, { '/etc/docker': dockerFolder });
    const { namespace } = lab;
    const flags = [`--registry-mirror=${lab.mirror.url}`];
    docker = await servers.own(startDockerd({ engine: '29', namespace, flags }));
  });
  afterAll(() => servers.stopAll());

  test('docker 29 takes it for another registry than Docker Hub by that registry’s hosts.toml', async () => {
    configureDocker('ghcr.io', lab.mirror.url);
    for (const registry of ['ghcr.io', 'docker.io'] as const) {
      const { name, image } = lab.images[registry];
      expect(await pullOf(name)).toContain(image.manifest.digest);
    }
    expect(await pullOf(lab.images['quay.io'].name)).toMatch(/connection refused/);
  });

  test('docker 29 builds on an image that it takes through it, and pushes what it built', async () => {
    const folder = makeTempFolder('docker-build');
    const base = `${lab.mirror.host}/mirror/library/hello:1`;
    writeFileSync(path.join(folder, 'file'), 'built');
    writeFileSync(path.join(folder, 'Dockerfile'), `FROM ${base}\nCOPY file /built\n`);
    const built = `${lab.push.host}/project/derived:1`;
    await docker.succeed('build', '--tag', built, folder);
    const pushed = await docker.succeed('push', built);
    const pulled = await pullImage(lab.mirror.url, 'project/derived', '1');
    expect(pushed).toContain(pulled.digest);
    const { layers } = JSON.parse(lab.official.manifest.bytes.toString()) as {
      layers: readonly { digest: string }[];
    };
    for (const { digest } of layers) expect(pulled.bytes.toString()).toContain(digest);
  });

  test('docker 29 takes it for every registry by one hosts.toml', async () => {
    configureDocker('_default', lab.mirror.url);
    for (const { name, image } of Object.values(lab.images)) {
      expect(await pullOf(name)).toContain(image.manifest.digest);
    }
    expect(await pullOf('hello:1')).toContain(lab.official.manifest.digest);
  });

  test('docker 29 forgets its registry-mirrors where Docker Hub has a hosts.toml', async () => {
    configureDocker('docker.io', 'http://127.0.0.1:1');
    const before = requests();
    expect(await pullOf('hello:1')).toMatch(/connection refused/);
    expect(requests()).toBe(before);
  });

  test('BuildKit builds FROM images of two registries through it', async () => {
    const { host } = lab.mirror;
    const buildkit = await servers.own(
      startBuildkitd([host], {
        namespace: lab.namespace,
        mirrors: { 'docker.io': [host], 'ghcr.io': [host], 'quay.io': [`${host}/quay.io`] },
      }),
    );
    const context = makeTempFolder('context');
    const result = makeTempFolder('result');
    const stages = ['docker.io', 'ghcr.io', 'quay.io'] as const;
    const lines = [
      ...stages.map((stage, position) => `FROM ${lab.images[stage].name} AS stage${position}`),
      'FROM scratch',
      ...stages.map((stage, position) => `COPY --from=stage${position} /file-0 /${stage}`),
    ];
    writeFileSync(path.join(context, 'Dockerfile'), lines.join('\n'));
    await buildkit.buildctl(
      ...['build', '--progress=plain', '--frontend=dockerfile.v0', '--opt=platform=linux/amd64'],
      ...['--local', `context=${context}`, '--local', `dockerfile=${context}`],
      `--output=type=local,dest=${result}`,
    );
    const [first, ...others] = stages.map((stage) => readFileSync(path.join(result, stage)));
    expect(first).toHaveLength(1_000);
    for (const other of others) expect(other.equals(first!)).toBe(false);
  });
});
