import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage, pullManifest } from '../../support/registry-client.ts';
import { startBuildkitd } from '../../support/start-buildkitd.ts';
import type { BuildkitDaemon } from '../../support/start-buildkitd.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

// Debian's docker brings runc, which the daemon wants there.
describeWithTools(['buildkitd', 'buildctl', 'docker', 'registry'], 'BuildKit', () => {
  const context = makeTempFolder('context');
  const file = randomBytes(100_000);
  const servers = new OwnedServers();
  let lab: ClientLab;
  let buildkit: BuildkitDaemon;

  const build = (...flags: readonly string[]): Promise<string> =>
    buildkit.buildctl(
      ...['build', '--progress=plain', '--frontend=dockerfile.v0'],
      ...['--local', `context=${context}`, '--local', `dockerfile=${context}`],
      ...flags,
    );

  beforeAll(async () => {
    writeFileSync(path.join(context, 'file'), file);
    writeFileSync(path.join(context, 'Dockerfile'), 'FROM scratch\nCOPY file /file\n');
    lab = await startClientLab(servers);
    buildkit = await servers.own(startBuildkitd(lab.hosts));
  });
  afterAll(() => servers.stopAll());

  test('pushes what it built for two platforms with its provenance', async () => {
    await build(
      '--opt=platform=linux/amd64,linux/arm64',
      '--opt=attest:provenance=mode=min',
      `--output=type=image,name=${lab.push.host}/buildkit/app:1,push=true`,
    );
    for (const { url } of [lab.push, lab.mirror]) {
      const { bytes } = await pullManifest(url, 'buildkit/app', '1');
      const { manifests } = JSON.parse(bytes.toString()) as { manifests: { digest: string }[] };
      expect(manifests).toHaveLength(4);
      for (const { digest } of manifests) await pullImage(url, 'buildkit/app', digest);
    }
  });

  test('pushes layers in zstd', async () => {
    const output = `type=image,name=${lab.push.host}/buildkit/zstd:1,push=true`;
    await build(`--output=${output},compression=zstd,force-compression=true,oci-mediatypes=true`);
    const { bytes } = await pullImage(lab.mirror.url, 'buildkit/zstd', '1');
    expect(bytes.toString()).toContain('application/vnd.oci.image.layer.v1.tar+zstd');
  });

  test.each([
    ['an image manifest', 'image-manifest=true', 'application/vnd.oci.image.manifest.v1+json'],
    ['an index of layers', 'image-manifest=false', 'application/vnd.oci.image.index.v1+json'],
  ])(
    'keeps its cache as %s and builds from it at either role',
    async (_form, option, mediaType) => {
      const repository = `buildkit/cache-${option.replace('=', '-')}`;
      const exported = `type=registry,ref=${lab.push.host}/${repository}:1,mode=max,${option}`;
      await build(`--export-cache=${exported},oci-mediatypes=true`);
      const cache = await pullManifest(lab.push.url, repository, '1');
      expect(cache.mediaType).toBe(mediaType);
      for (const host of lab.hosts) {
        await buildkit.buildctl('prune', '--all');
        const folder = makeTempFolder('built');
        const log = await build(
          `--import-cache=type=registry,ref=${host}/${repository}:1`,
          `--output=type=local,dest=${folder}`,
        );
        // Nothing but the cache has a layer to unpack: the step that runs copies a file.
        expect(log).toMatch(/^#\d+ extracting sha256:/m);
        expect(readFileSync(path.join(folder, 'file')).equals(file)).toBe(true);
      }
    },
  );

  test('is told by the mirror where to push to', async () => {
    const cache = `type=registry,ref=${lab.mirror.host}/buildkit/refused:1`;
    await expect(build(`--export-cache=${cache}`)).rejects.toThrow(lab.push.url);
  });
});
