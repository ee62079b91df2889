import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../../support/describe-with-tools.ts';
import { type Account, type LoginLab, startLoginLab } from '../../support/login-lab.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage } from '../../support/registry-client.ts';
import {
  type ContainerdDaemon,
  CONTAINERD_TOOLS,
  startContainerd,
} from '../../support/start-containerd.ts';
import { startUpstream } from '../../support/start-upstream.ts';

type Run = ReturnType<ContainerdDaemon['ctr']>;

const OFFICIAL = 'docker.io/library/hello:1';
const { daemon: daemon1, client: client1 } = CONTAINERD_TOOLS['1'];
const { daemon: daemon2, client: client2 } = CONTAINERD_TOOLS['2'];
const DAEMONS = [daemon1, client1, daemon2, client2, 'containerd-2-shim'] as const;

describeWithTools([...DAEMONS, 'crictl', 'registry'], 'a node and a private project', () => {
  const servers = new OwnedServers();
  let lab: LoginLab;

  beforeAll(async () => {
    const upstream = await servers.own(startUpstream());
    await pushImage(upstream.directUrl, 'library/hello', '1', makeImage({ format: 'docker' }));
    lab = await startLoginLab(servers, { upstreamUrl: upstream.url });
  });
  afterAll(() => servers.stopAll());

  describe.each(['1', '2'] as const)('with containerd %s', (version) => {
    const daemons = new OwnedServers();
    let containerd: ContainerdDaemon;
    let pushed: string;

    beforeAll(async () => {
      containerd = await daemons.own(startContainerd(version, { kubernetes: true }));
      pushed = `${lab.push.host}/team/node-${version}:1`;
      pullThroughMirror('docker.io');
      await succeeds(ctr('pull', '--snapshotter=native', OFFICIAL));
      await succeeds(containerd.ctr('images', 'tag', OFFICIAL, pushed));
    });
    afterAll(() => daemons.stopAll());

    const ctr = (command: 'pull' | 'push', ...words: readonly string[]): Run =>
      containerd.ctr('images', command, '--hosts-dir', containerd.hostsFolder, ...words);
    /** Nobody listens at the server, so what comes has come through the mirror. */
    const pullThroughMirror = (registry: string): void => {
      const host = `[host."${lab.mirror.url}"]\n  capabilities = ["pull", "resolve"]\n`;
      containerd.configureHost(registry, `server = "http://127.0.0.1:1"\n${host}`);
    };
    const succeeds = async (run: Run): Promise<void> => {
      const { code, stderr } = await run;
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    };
    const fails = async (run: Run): Promise<string> => {
      const { code, stderr } = await run;
      expect(code).not.toBe(0);
      return stderr;
    };
    const present = async (): Promise<string> => (await containerd.ctr('images', 'ls')).stdout;

    test('ctr --user pushes to the push service, and pulls from the mirror', async () => {
      const { robot, reader } = lab.accounts;
      containerd.configureHost(lab.push.host, `server = "${lab.push.url}"\n`);
      expect(await fails(ctr('push', pushed))).toMatch(/401|authorization failed/);
      expect(await fails(ctr('push', '--user', pair(reader), pushed))).toMatch(
        /401|authorization failed/,
      );
      await succeeds(ctr('push', '--user', pair(robot), pushed));

      pullThroughMirror(lab.push.host);
      await succeeds(containerd.ctr('images', 'rm', '--sync', pushed));
      expect(await fails(ctr('pull', '--snapshotter=native', pushed))).toMatch(
        /401|authorization failed/,
      );
      expect(await present()).not.toContain(pushed);
      await succeeds(ctr('pull', '--snapshotter=native', '--user', pair(reader), pushed));
      expect(await present()).toContain(pushed);
      await succeeds(containerd.ctr('images', 'rm', '--sync', pushed));
    });

    test('a pull secret opens it at the mirror, by the name of either', async () => {
      const { reader } = lab.accounts;
      const secret = Buffer.from(pair(reader)).toString('base64');
      pullThroughMirror(lab.push.host);
      for (const name of [
        pushed,
        `${lab.mirror.host}/local/${pushed.split('/').slice(1).join('/')}`,
      ]) {
        expect(await fails(containerd.crictl('pull', name))).toMatch(/401|authorization failed/);
        const wrong = ['--creds', `${reader.username}:guessed`];
        expect(await fails(containerd.crictl('pull', ...wrong, name))).toMatch(
          /401|authorization failed/,
        );
        await succeeds(containerd.crictl('pull', '--auth', secret, name));
        await succeeds(containerd.crictl('rmi', name));
      }
    });

    test('a pull secret for Docker Hub opens public images at the mirror like none', async () => {
      pullThroughMirror('docker.io');
      await containerd.crictl('rmi', OFFICIAL);
      await succeeds(containerd.crictl('pull', '--creds', 'somebody:of-the-hub', OFFICIAL));
      expect(lab.mirror.logs()).not.toContain('of-the-hub');
    });
  });
});

const pair = ({ username, password }: Account): string => `${username}:${password}`;
