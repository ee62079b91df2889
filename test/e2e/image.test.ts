import { readFile } from 'node:fs/promises';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { freePort } from '../support/free-port.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { pullImage, pushImage } from '../support/registry-client.ts';
import type { DockerDaemon } from '../support/start-dockerd.ts';
import { buildTwinportImage, startBuildDaemon } from '../support/twinport-image.ts';
import { waitFor } from '../support/wait-for.ts';

const IMAGE = 'twinport.test/twinport';
const BASE = 'twinport.test/base';
const MAX_BYTES = 200_000_000;
const USER = '65532';

interface ImageConfig {
  readonly User: string;
  readonly StopSignal: string;
  readonly Entrypoint: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Labels: Readonly<Record<string, string>>;
}

interface RunningContainer {
  readonly name: string;
  readonly host: string;
  readonly url: string;
  readonly metricsUrl: string;
}

describeWithTools(['dockerd', 'docker', 'mmdebstrap'], 'the container image', () => {
  let daemon: DockerDaemon;

  beforeAll(async () => {
    daemon = await startBuildDaemon();
    await buildTwinportImage(daemon, IMAGE);
  }, 1_200_000);

  afterAll(async () => {
    await daemon.stop();
  });

  /** As an operator who trusts nobody runs it: nothing is writable but the volume and /tmp, no rights at all. */
  async function run(role: 'push' | 'mirror'): Promise<RunningContainer> {
    const port = await freePort();
    const metricsPort = await freePort();
    const settings = {
      RUN_AS_MIRROR: String(role === 'mirror'),
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(port),
      METRICS_PORT: String(metricsPort),
      UPSTREAM_URL: 'http://127.0.0.1:1',
    };
    const environment = Object.entries(settings).flatMap(([name, value]) => [
      '--env',
      `${name}=${value}`,
    ]);
    const confinement = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL'];
    await daemon.succeed(
      ...['run', '--detach', '--name', role, '--network', 'host', ...confinement],
      ...['--security-opt', 'no-new-privileges', '--volume', 'twinport:/var/lib/twinport'],
      ...[...environment, IMAGE],
    );
    const host = `127.0.0.1:${port}`;
    const metricsUrl = `http://127.0.0.1:${metricsPort}`;
    try {
      await waitFor(async () => (await fetch(`${metricsUrl}/readyz`)).status === 200, {
        what: `the ${role} container to be ready`,
        timeoutMs: 60_000,
      });
    } catch (error) {
      const { stdout, stderr } = await daemon.docker('logs', role);
      throw new Error(`${stdout}${stderr}`, { cause: error });
    }
    return { name: role, host, url: `http://${host}`, metricsUrl };
  }

  async function userOf(container: RunningContainer): Promise<string> {
    const format = '--format={{.State.Pid}}';
    const pid = (await daemon.succeed('inspect', format, container.name)).trim();
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return /^Uid:\s+(\d+)/m.exec(status)?.[1] ?? '';
  }

  test('says how it is run: an ordinary user by number, Node itself as the first process, the ports of both roles', async () => {
    const config = JSON.parse(
      await daemon.succeed('inspect', '--format={{json .Config}}', IMAGE),
    ) as ImageConfig;
    expect(config.User).toBe(`${USER}:${USER}`);
    expect(config.StopSignal).toBe('SIGTERM');
    expect(config.Entrypoint).toEqual([
      '/opt/node/bin/node',
      '--max-semi-space-size=4',
      '/opt/twinport/dist/services/main.js',
    ]);
    expect(Object.keys(config.ExposedPorts).toSorted()).toEqual([
      '5000/tcp',
      '5001/tcp',
      '9090/tcp',
      '9091/tcp',
    ]);
    expect(config.Labels['org.opencontainers.image.licenses']).toBe('Apache-2.0');
  });

  test('is small and holds no shell, no npm and nothing that only building needs', async () => {
    const size = Number(await daemon.succeed('inspect', '--format={{.Size}}', IMAGE));
    expect(size).toBeLessThan(MAX_BYTES);
    for (const program of ['/bin/sh', '/usr/bin/npm', '/usr/local/bin/npm']) {
      const { code } = await daemon.docker('run', '--rm', '--entrypoint', program, IMAGE);
      expect([126, 127]).toContain(code);
    }
    const script = "import('typescript').then(() => 'there', () => 'absent').then(console.log)";
    const node = ['--entrypoint', '/opt/node/bin/node', IMAGE, '-e', script];
    expect(await daemon.succeed('run', '--rm', '--network', 'none', ...node)).toBe('absent\n');
  });

  test('serves both roles from one volume on a read-only root as an ordinary user, and ends orderly', async () => {
    const push = await run('push');
    const mirror = await run('mirror');
    expect(await userOf(push)).toBe(USER);
    expect(await userOf(mirror)).toBe(USER);

    const image = makeImage({ layerBytes: [3_000_000, 10] });
    await pushImage(push.url, 'demo/app', '1', image);
    const pulled = await pullImage(mirror.url, 'demo/app', '1');
    expect(pulled.digest).toBe(image.manifest.digest);

    const checked = await daemon.docker('exec', push.name, 'twinport', 'export-check');
    expect(checked.stdout).toContain('1 manifests and 1 tags in the folder /var/lib/twinport');
    expect(checked.code).toBe(0);
    // A command of its own for what has to be done before a service can start.
    const alone = ['--volume', 'twinport:/var/lib/twinport', '--entrypoint', 'twinport', IMAGE];
    expect(await daemon.succeed('run', '--rm', ...alone, 'adopt-cache', '--dry-run')).toContain(
      'the folder /var/lib/twinport is not the cache of another registry',
    );

    await daemon.succeed('tag', BASE, `${push.host}/demo/base:1`);
    await daemon.succeed('push', `${push.host}/demo/base:1`);
    await daemon.succeed('pull', `${mirror.host}/demo/base:1`);
    const id = '--format={{.Id}}';
    expect(await daemon.succeed('inspect', id, `${mirror.host}/demo/base:1`)).toBe(
      await daemon.succeed('inspect', id, BASE),
    );

    for (const { name } of [push, mirror]) {
      await daemon.succeed('stop', '--time', '30', name);
      const exit = '--format={{.State.ExitCode}}';
      expect(await daemon.succeed('inspect', exit, name)).toBe('0\n');
    }
  });
});
