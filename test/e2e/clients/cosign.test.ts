import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { clientProgram } from '../../support/client-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage } from '../../support/registry-client.ts';

describeWithTools(['cosign', 'registry'], 'cosign', () => {
  const { home, attempt, run } = clientProgram('cosign', {
    env: { COSIGN_PASSWORD: 'test', COSIGN_EXPERIMENTAL: '1' },
  });
  const [privateKey, publicKey] = [path.join(home, 'cosign.key'), path.join(home, 'cosign.pub')];
  const signing = ['--yes', '--tlog-upload=false', '--key', privateKey];
  const verifying = ['--insecure-ignore-tlog=true', '--key', publicKey];
  const servers = new OwnedServers();
  let lab: ClientLab;

  const pushNew = async (repository: string): Promise<string> => {
    const image = makeImage();
    await pushImage(lab.push.url, repository, '1', image);
    return image.manifest.digest;
  };
  const tagsOf = async (repository: string): Promise<string[]> => {
    const answer = await fetch(`${lab.mirror.url}/v2/${repository}/tags/list`);
    return ((await answer.json()) as { tags: string[] }).tags;
  };

  beforeAll(async () => {
    lab = await startClientLab(servers);
    await run('generate-key-pair');
  });
  afterAll(() => servers.stopAll());

  test('signs under a tag, and verifies at both roles', async () => {
    const digest = await pushNew('cosign/tagged');
    await run('sign', ...signing, `${lab.push.host}/cosign/tagged@${digest}`);
    for (const host of lab.hosts) {
      expect(await run('verify', ...verifying, `${host}/cosign/tagged:1`)).toContain(digest);
    }
    expect(await tagsOf('cosign/tagged')).toEqual(['1', `${digest.replace(':', '-')}.sig`]);
  });

  test('signs as a referrer, and verifies at both roles', async () => {
    const digest = await pushNew('cosign/referred');
    const image = `${lab.push.host}/cosign/referred@${digest}`;
    await run('sign', ...signing, '--registry-referrers-mode=oci-1-1', image);
    for (const host of lab.hosts) {
      const there = `${host}/cosign/referred@${digest}`;
      expect(await run('verify', ...verifying, '--experimental-oci11', there)).toContain(digest);
    }
    expect(await tagsOf('cosign/referred')).toEqual(['1']);
  });

  test('attests, attaches a bill of materials, and shows the tree', async () => {
    const digest = await pushNew('cosign/attested');
    const image = `${lab.push.host}/cosign/attested@${digest}`;
    const predicate = path.join(home, 'predicate.json');
    writeFileSync(predicate, '{"made":"here"}');
    await run('attest', ...signing, '--predicate', predicate, '--type=custom', image);
    await run('attach', 'sbom', '--sbom', predicate, '--input-format=text', image);
    for (const host of lab.hosts) {
      const there = `${host}/cosign/attested@${digest}`;
      await run('verify-attestation', ...verifying, '--type=custom', there);
      expect(await run('tree', there)).toMatch(/\.att[\s\S]*\.sbom|\.sbom[\s\S]*\.att/);
    }
  });

  test('copies an image with its signature into another repository', async () => {
    const digest = await pushNew('cosign/original');
    await run('sign', ...signing, `${lab.push.host}/cosign/original@${digest}`);
    await run('copy', `${lab.push.host}/cosign/original:1`, `${lab.push.host}/cosign/copied:1`);
    await run('verify', ...verifying, `${lab.mirror.host}/cosign/copied:1`);
  });

  test('does not verify what nobody signed, and signs nothing at the mirror', async () => {
    const digest = await pushNew('cosign/unsigned');
    const there = `${lab.mirror.host}/cosign/unsigned@${digest}`;
    expect((await attempt('verify', ...verifying, there)).code).not.toBe(0);
    const { code, stderr } = await attempt('sign', ...signing, there);
    expect(code).not.toBe(0);
    expect(stderr).toContain(lab.push.url);
  });
});
