import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../../support/describe-with-tools.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage } from '../../support/registry-client.ts';
import type { TwinportProcess } from '../../support/registry-process.ts';
import { type DockerDaemon, DOCKER_TOOLS, startDockerd } from '../../support/start-dockerd.ts';
import { type Hub, startHub, startMirrorOfHub } from '../../support/start-hub.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const PASSWORD = 'correct-horse-of-the-hub';
const REFRESH_TOKEN = 'refresh-token-of-the-hub';
/** What docker keeps of a login at Docker Hub, the password or a token for it. */
const LOGINS = [
  ['a password', { auth: base64(`alice:${PASSWORD}`) }],
  ['a token', { auth: base64('alice:'), identitytoken: REFRESH_TOKEN }],
] as const;

describeWithTools(['registry', 'openssl'], 'a mirror in token mode, of Docker Hub', () => {
  const dataDir = makeTempFolder('data');
  const servers = new OwnedServers();
  const image = makeImage({ format: 'docker' });
  let hub: Hub;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    hub = await servers.own(startHub({ users: { alice: PASSWORD }, isPrivate: () => false }));
    await pushImage(hub.directUrl, 'library/hello', '1', image);
    mirror = await servers.own(startMirrorOfHub(hub, dataDir, { AUTH_MODE: 'token' }));
  });
  afterAll(() => servers.stopAll());

  describe.each(['20', '29'] as const)('for docker %s', (engine) => {
    describeWithTools(DOCKER_TOOLS[engine], 'with a login there', () => {
      const daemons = new OwnedServers();
      let daemon: DockerDaemon;

      beforeAll(async () => {
        const { namespace, authorityFile } = hub;
        const flags = [`--registry-mirror=${mirror.url}`];
        daemon = await daemons.own(startDockerd({ engine, flags, namespace, authorityFile }));
      });
      afterAll(() => daemons.stopAll());

      test.each(LOGINS)(
        'pulls public images as often as it wants, and tells nobody of %s',
        async (_kind, login) => {
          const config = makeTempFolder('docker-config');
          const auths = { 'https://index.docker.io/v1/': login };
          writeFileSync(path.join(config, 'config.json'), JSON.stringify({ auths }));
          const before = served();
          // More often than somebody may guess a password.
          const rounds = 'identitytoken' in login || engine === '29' ? 1 : 6;
          for (let round = 0; round < rounds; round += 1) {
            const printed = await daemon.succeed('--config', config, 'pull', 'hello:1');
            expect(printed).toContain(image.manifest.digest);
            await daemon.succeed('rmi', 'hello:1');
          }
          expect(served()).toBeGreaterThanOrEqual(before + rounds);
          expect(hub.claimedUsers).toEqual([]);
          for (const secret of [PASSWORD, REFRESH_TOKEN, ...LOGINS.map(([, { auth }]) => auth)]) {
            expect(mirror.logs()).not.toContain(secret);
            expect(filesWith(secret)).toEqual([]);
          }
        },
      );

      test('cannot log in at the mirror with it', async () => {
        const { code, stderr } = await daemon.docker(
          ...['--config', makeTempFolder('docker-config'), 'login'],
          ...['--username=alice', `--password=${PASSWORD}`, mirror.host],
        );
        expect(code).not.toBe(0);
        expect(stderr).toMatch(/unauthorized: incorrect username or password/);
      });
    });
  });

  /** How many pulls of the manifest the mirror has answered. */
  const served = (): number =>
    mirror.logs().match(/"repository":"library\/hello".*"status":200/g)?.length ?? 0;

  const filesWith = (text: string): string[] =>
    readdirSync(dataDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .filter((file) => readFileSync(file).includes(text));
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
