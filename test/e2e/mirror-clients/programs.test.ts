import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { clientProgram } from '../../support/client-program.ts';
import { containersProgram } from '../../support/containers-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { type MirrorLab, startMirrorLab } from '../../support/mirror-lab.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const TOOLS = ['podman', 'buildah', 'skopeo', 'crane', 'cosign', 'regctl', 'registry'] as const;

describeWithTools(TOOLS, 'a mirror of several registries', () => {
  const servers = new OwnedServers();
  let lab: MirrorLab;

  beforeAll(async () => {
    lab = await startMirrorLab(servers);
  });
  afterAll(() => servers.stopAll());

  describe('in registries.conf', () => {
    const file = path.join(makeTempFolder('registries'), 'registries.conf');

    beforeAll(() => {
      const upstreams = ['docker.io', 'ghcr.io', 'quay.io'];
      const tables = upstreams.map((name) =>
        [
          '[[registry]]',
          `prefix = "${name}"`,
          `location = "${name}"`,
          '[[registry.mirror]]',
          `location = "${lab.mirror.host}/${name}"`,
          'insecure = true',
        ].join('\n'),
      );
      writeFileSync(file, tables.join('\n'));
    });

    test.each(['podman', 'buildah'] as const)(
      '%s pulls each image from its own registry',
      async (name) => {
        const { run } = containersProgram(name, {
          namespace: lab.namespace,
          env: { CONTAINERS_REGISTRIES_CONF: file },
        });
        for (const host of ['docker.io', 'ghcr.io', 'quay.io'] as const) {
          const { name: image, image: expected } = lab.images[host];
          expect(await run('pull', '--quiet', image)).toBe(idOf(expected));
        }
        const [repository] = lab.images['quay.io'].name.split(':');
        const byDigest = `${repository!}@${lab.images['quay.io'].image.manifest.digest}`;
        expect(await run('pull', '--quiet', byDigest)).toBe(idOf(lab.images['quay.io'].image));
        expect(await run('pull', '--quiet', 'docker.io/library/hello:1')).toBe(idOf(lab.official));
        await run('pull', '--quiet', 'quay.io/team/multi:1');
      },
    );
  });

  test('skopeo copies by the registry’s name as prefix, and Docker Hub’s without', async () => {
    const { run } = clientProgram('skopeo', { globalFlags: ['--insecure-policy'] });
    const { host } = lab.mirror;
    const inspect = ['inspect', '--tls-verify=false', '--format', '{{.Digest}}'];
    const prefixed = spellings(lab);
    for (const [name, digest] of prefixed) {
      expect(await run(...inspect, `docker://${host}/${name}:1`)).toBe(digest);
    }
    const [name, digest] = prefixed[0]!;
    const copy = ['copy', '--src-tls-verify=false'];
    await run(...copy, `docker://${host}/${name}@${digest}`, `dir:${makeTempFolder('skopeo')}`);
    const whole = makeTempFolder('skopeo');
    await run(...copy, '--all', `docker://${host}/quay.io/team/multi:1`, `oci:${whole}:1`);
    for (const { manifest } of [lab.index, ...lab.index.images]) {
      const stored = readFileSync(path.join(whole, 'blobs', manifest.digest.replace(':', '/')));
      expect(stored.equals(manifest.bytes)).toBe(true);
    }
  });

  test('crane validates by the registry’s name as prefix, and Docker Hub’s without', async () => {
    const { run } = clientProgram('crane');
    const { host } = lab.mirror;
    for (const [name, digest] of spellings(lab)) {
      expect(await run('digest', `${host}/${name}:1`)).toBe(digest);
      await run('validate', '--remote', `${host}/${name}@${digest}`);
    }
    await run('validate', '--remote', `${host}/quay.io/team/multi:1`);
    expect(await run('ls', `${host}/quay.io/team/multi`)).toContain('1');
  });

  test('cosign verifies a signature that lies beside the image at its registry', async () => {
    const env = { COSIGN_PASSWORD: 'test', COSIGN_EXPERIMENTAL: '1' };
    const { home, run, attempt } = clientProgram('cosign', { env });
    await run('generate-key-pair');
    const { digest } = lab.images['quay.io'].image.manifest;
    const source = new URL(lab.upstreams['quay.io'].directUrl).host;
    const verify = [
      'verify',
      '--insecure-ignore-tlog=true',
      '--key',
      path.join(home, 'cosign.pub'),
    ];
    const there = `${lab.mirror.host}/quay.io/team/app`;
    const sign = ['sign', '--yes', '--tlog-upload=false', '--key', path.join(home, 'cosign.key')];
    await run(...sign, `${source}/team/app@${digest}`);
    expect(await run(...verify, `${there}:1`)).toContain(digest);
    const unsigned = `${lab.mirror.host}/ghcr.io/team/app:1`;
    expect((await attempt(...verify, unsigned)).stderr).toContain('no signatures found');

    await run(
      ...sign,
      '--registry-referrers-mode=oci-1-1',
      `${source}/team/multi@${lab.index.manifest.digest}`,
    );
    const referred = `${lab.mirror.host}/quay.io/team/multi@${lab.index.manifest.digest}`;
    expect(await run(...verify, '--experimental-oci11', referred)).toContain(
      lab.index.manifest.digest,
    );
  });

  test('regctl lists and gets what refers to an image at its registry', async () => {
    const { home, run } = clientProgram('regctl');
    const source = new URL(lab.upstreams['ghcr.io'].directUrl).host;
    for (const host of [source, lab.mirror.host]) {
      await run('registry', 'set', '--skip-check', '--tls=disabled', host);
    }
    const file = path.join(home, 'list.json');
    mkdirSync(home, { recursive: true });
    writeFileSync(file, 'a list');
    const type = 'application/spdx+json';
    await run(
      ...['artifact', 'put', '--file', file, `--artifact-type=${type}`],
      ...['--subject', `${source}/team/app:1`],
    );
    const there = `${lab.mirror.host}/ghcr.io/team/app:1`;
    const format = '{{range .Descriptors}}{{println .ArtifactType}}{{end}}';
    expect(await run('artifact', 'list', there, '--format', format)).toBe(type);
    const filter = `--filter-artifact-type=${type}`;
    expect(await run('artifact', 'get', '--subject', there, filter)).toBe('a list');
  });
});

/** What follows the mirror's host in the name of an image, and its digest. */
function spellings({ images, official }: MirrorLab): [string, string][] {
  const hub = images['docker.io'].image.manifest.digest;
  return [
    ['ghcr.io/team/app', images['ghcr.io'].image.manifest.digest],
    ['quay.io/team/app', images['quay.io'].image.manifest.digest],
    ['docker.io/team/app', hub],
    ['mirror/team/app', hub],
    ['hello', official.manifest.digest],
    ['library/hello', official.manifest.digest],
    // A project of this name was pushed, which the root path means then.
    ['team/app', images.pushed.image.manifest.digest],
  ];
}

/** podman's name for an image: its config's digest. */
const idOf = ({ blobs: [config] }: MirrorLab['official']): string =>
  config!.digest.slice('sha256:'.length);
