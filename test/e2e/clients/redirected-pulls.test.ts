import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { clientProgram } from '../../support/client-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage } from '../../support/registry-client.ts';
import { startTwinport } from '../../support/registry-process.ts';
import type { TwinportProcess } from '../../support/registry-process.ts';
import { type ContainerdDaemon, startContainerd } from '../../support/start-containerd.ts';
import { type DockerDaemon, startDockerd } from '../../support/start-dockerd.ts';
import { startMinio, startVersitygw } from '../../support/start-s3.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const SERVERS = [
  { name: 'minio', start: startMinio },
  { name: 'versitygw', start: startVersitygw },
] as const;
const image = makeImage({ layerBytes: [300_000, 10], format: 'docker' });

describe.each(SERVERS)('clients that are sent to $name for blobs', ({ name, start }) => {
  describeWithTools(
    [name, 'crane', 'skopeo', 'dockerd', 'docker', 'containerd', 'ctr'],
    name,
    () => {
      const servers = new OwnedServers();
      let roles: readonly TwinportProcess[];
      let docker: DockerDaemon;
      let containerd: ContainerdDaemon;

      beforeAll(async () => {
        const storage = await servers.own(start());
        const env = { S3_REDIRECT_PULLS: 'true', S3_PUBLIC_ENDPOINT: storage.endpoint };
        roles = await Promise.all([
          servers.own(startTwinport({ role: 'push', storage, env })),
          servers.own(startTwinport({ role: 'mirror', storage, env })),
        ]);
        const [push] = roles as [TwinportProcess];
        await pushImage(push.url, 'team/app', '1', image);
        docker = await servers.own(startDockerd());
        containerd = await servers.own(startContainerd());
      });
      afterAll(() => servers.stopAll());

      /** Every blob of a pull was answered by a redirect, and nothing else was. */
      const expectRedirects = async (before: number): Promise<void> => {
        expect(await redirects(roles)).toBeGreaterThanOrEqual(before + image.blobs.length);
      };

      test('crane pulls and proves every byte', async () => {
        const before = await redirects(roles);
        const { run } = clientProgram('crane');
        for (const { host } of roles) await run('validate', '--remote', `${host}/team/app:1`);
        await expectRedirects(before);
      });

      test('skopeo pulls', async () => {
        const before = await redirects(roles);
        const { run } = clientProgram('skopeo');
        for (const { host } of roles) {
          const target = `dir:${makeTempFolder('skopeo')}`;
          const flags = ['--insecure-policy', 'copy', '--src-tls-verify=false'];
          await run(...flags, `docker://${host}/team/app:1`, target);
        }
        await expectRedirects(before);
      });

      test('docker pulls', async () => {
        const before = await redirects(roles);
        for (const { host } of roles) {
          const pulled = await docker.succeed('pull', `${host}/team/app:1`);
          expect(pulled).toContain(image.manifest.digest);
          await docker.succeed('rmi', `${host}/team/app:1`);
        }
        await expectRedirects(before);
      });

      test('containerd pulls through the mirror and from the push port', async () => {
        const before = await redirects(roles);
        for (const { host, url } of roles) {
          const capabilities = 'capabilities = ["pull", "resolve"]';
          containerd.configureHost(host, `server = "${url}"\n[host."${url}"]\n  ${capabilities}\n`);
          const { code, stderr } = await containerd.fetch(`${host}/team/app:1`);
          expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
        }
        await expectRedirects(before);
      });
    },
  );
});

/** How many blobs were answered by a redirect so far, at both roles. */
async function redirects(roles: readonly TwinportProcess[]): Promise<number> {
  let count = 0;
  for (const { metricsUrl } of roles) {
    const metrics = await (await fetch(`${metricsUrl}/metrics`)).text();
    const line =
      /^registry_http_requests_total\{[^}]*operation="blobGet",status_class="3xx"\} (\d+)$/m;
    count += Number(line.exec(metrics)?.[1] ?? 0);
  }
  return count;
}
