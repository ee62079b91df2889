import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { clientProgram } from '../../support/client-program.ts';
import { containersProgram } from '../../support/containers-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { type Account, type LoginLab, startLoginLab } from '../../support/login-lab.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage } from '../../support/registry-client.ts';
import type { CommandResult } from '../../support/run-command.ts';
import { startUpstream, type UpstreamRegistry } from '../../support/start-upstream.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

type Run = Promise<CommandResult>;

/** A program that logs in at a host, pushes to it below `team/` and pulls from there. */
interface Client {
  prepare?(): Promise<unknown>;
  login(account: Account, host: string): Run;
  logout(host: string): Run;
  push(host: string, tag: string): Run;
  pull(host: string): Run;
}

const DENIED = /denied: requested access to the resource is denied/i;
const TOOLS = ['podman', 'buildah', 'skopeo', 'crane', 'regctl', 'helm'] as const;

describeWithTools([...TOOLS, 'registry'], 'with a robot of a private project', () => {
  const servers = new OwnedServers();
  let upstream: UpstreamRegistry;
  let lab: LoginLab;
  let source: string;

  beforeAll(async () => {
    upstream = await servers.own(startUpstream());
    source = `${new URL(upstream.directUrl).host}/source/image:1`;
    await pushImage(upstream.directUrl, 'source/image', '1', makeImage());
    lab = await startLoginLab(servers, { upstreamUrl: upstream.url });
  });
  afterAll(() => servers.stopAll());

  const flags = ({ username, password }: Account): string[] => [
    `--username=${username}`,
    `--password=${password}`,
  ];

  const containersClient = (name: 'podman' | 'buildah'): Client => {
    const { attempt } = containersProgram(name);
    const plain = '--tls-verify=false';
    const always = name === 'buildah' ? ['--policy=always'] : [];
    return {
      login: (account, host) => attempt('login', plain, ...flags(account), host),
      logout: (host) => attempt('logout', host),
      prepare: () => attempt('pull', plain, '--quiet', source),
      push: (host, tag) => attempt('push', plain, source, `docker://${host}/team/${name}:${tag}`),
      // Not from its own storage, as buildah would without being told.
      pull: (host) => attempt('pull', plain, '--quiet', ...always, `${host}/team/${name}:1`),
    };
  };
  const clients: Readonly<Record<(typeof TOOLS)[number], () => Client>> = {
    podman: () => containersClient('podman'),
    buildah: () => containersClient('buildah'),
    skopeo: () => {
      const { attempt } = clientProgram('skopeo', { globalFlags: ['--insecure-policy'] });
      const plain = ['--src-tls-verify=false', '--dest-tls-verify=false'];
      const at = (host: string, tag: string): string => `docker://${host}/team/skopeo:${tag}`;
      return {
        login: (account, host) => attempt('login', '--tls-verify=false', ...flags(account), host),
        logout: (host) => attempt('logout', '--tls-verify=false', host),
        push: (host, tag) => attempt('copy', ...plain, `docker://${source}`, at(host, tag)),
        pull: (host) => attempt('copy', ...plain, at(host, '1'), `dir:${makeTempFolder('skopeo')}`),
      };
    },
    crane: () => {
      const { attempt } = clientProgram('crane');
      return {
        login: (account, host) => attempt('auth', 'login', ...flags(account), host),
        logout: (host) => attempt('auth', 'logout', host),
        push: (host, tag) => attempt('copy', source, `${host}/team/crane:${tag}`),
        pull: (host) => attempt('validate', '--remote', `${host}/team/crane:1`),
      };
    },
    regctl: () => {
      const { attempt, home } = clientProgram('regctl');
      const plain = ['registry', 'set', '--skip-check', '--tls=disabled'];
      return {
        prepare: async () => {
          for (const host of [source.split('/')[0]!, lab.push.host, lab.mirror.host]) {
            await attempt(...plain, host);
          }
        },
        login: ({ username, password }, host) =>
          attempt('registry', 'login', '--user', username, '--pass', password, host),
        logout: (host) => attempt('registry', 'logout', host),
        push: (host, tag) => attempt('image', 'copy', source, `${host}/team/regctl:${tag}`),
        pull: (host) =>
          attempt('image', 'copy', `${host}/team/regctl:1`, `ocidir://${home}/pulled:1`),
      };
    },
    helm: () => {
      const { attempt, home } = clientProgram('helm');
      const plain = '--plain-http';
      return {
        prepare: async () => {
          const chart = path.join(home, 'app');
          mkdirSync(chart, { recursive: true });
          writeFileSync(
            path.join(chart, 'Chart.yaml'),
            'apiVersion: v2\nname: app\nversion: 1.0.0',
          );
          for (const version of ['1.0.0', '2.0.0']) {
            await attempt('package', chart, '--version', version, '--destination', home);
          }
        },
        login: (account, host) => attempt('registry', 'login', plain, ...flags(account), host),
        logout: (host) => attempt('registry', 'logout', host),
        push: (host, version) =>
          attempt(
            'push',
            plain,
            path.join(home, `app-${version}.0.0.tgz`),
            `oci://${host}/team/charts`,
          ),
        pull: (host) =>
          attempt(
            ...['pull', plain, '--version=1.0.0', '--destination', makeTempFolder('helm')],
            `oci://${host}/team/charts/app`,
          ),
      };
    },
  };

  /** What each shows to nobody, for a wrong password (crane asks nobody about it), and to somebody without the right. */
  const shown: Readonly<
    Record<
      (typeof TOOLS)[number],
      readonly [nobody: RegExp, wrong: RegExp | undefined, denied: RegExp]
    >
  > = {
    podman: [DENIED, /invalid username\/password/, DENIED],
    buildah: [DENIED, /invalid username\/password/, DENIED],
    skopeo: [DENIED, /invalid username\/password/, DENIED],
    crane: [/401 Unauthorized|UNAUTHORIZED: authentication required/, undefined, DENIED],
    regctl: [/unauthorized/, /failed to ping registry .*: unauthorized/, /unauthorized/],
    helm: [
      /status code 401: unauthorized/i,
      /401: unauthorized: incorrect username or password/,
      DENIED,
    ],
  };

  test.each(TOOLS)(
    '%s pushes, pulls from both roles, and may do what the robot may',
    async (name) => {
      const client = clients[name]();
      await client.prepare?.();
      const { push, mirror, accounts } = lab;
      const succeeds = async (run: Run): Promise<void> => {
        const { code, stdout, stderr } = await run;
        expect(code === 0 ? '' : `${stdout}${stderr}`).toBe('');
      };
      const fails = async (run: Run): Promise<string> => {
        const { code, stdout, stderr } = await run;
        expect(code).not.toBe(0);
        return `${stdout}${stderr}`;
      };
      const [nobody, wrongPassword, denied] = shown[name];
      expect(await fails(client.push(push.host, '1'))).toMatch(nobody);
      if (wrongPassword) {
        const wrong = { username: accounts.robot.username, password: 'guessed' };
        expect(await fails(client.login(wrong, push.host))).toMatch(wrongPassword);
      }
      for (const { host } of [push, mirror]) await succeeds(client.login(accounts.robot, host));
      await succeeds(client.push(push.host, '1'));
      for (const { host } of [push, mirror]) await succeeds(client.pull(host));

      await succeeds(client.login(accounts.reader, push.host));
      await succeeds(client.pull(push.host));
      expect(await fails(client.push(push.host, '2'))).toMatch(denied);

      for (const { host } of [push, mirror]) {
        await succeeds(client.logout(host));
        expect(await fails(client.pull(host))).toMatch(nobody);
      }
    },
  );
});
