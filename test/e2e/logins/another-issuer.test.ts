import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { clientProgram } from '../../support/client-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { freePort } from '../../support/free-port.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pushImage } from '../../support/registry-client.ts';
import { startTwinport, type TwinportProcess } from '../../support/registry-process.ts';
import { startUpstream, type UpstreamRegistry } from '../../support/start-upstream.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import { startTokenService, type TokenService } from '../../support/token-service.ts';

const PASSWORD = 'known to the issuer alone';

describeWithTools(['crane', 'registry'], 'tokens of another token service', () => {
  const servers = new OwnedServers();
  let upstream: UpstreamRegistry;
  let issuer: TokenService;
  let push: TwinportProcess;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    upstream = await servers.own(startUpstream());
    await pushImage(upstream.directUrl, 'source/image', '1', makeImage());
    issuer = await servers.own(
      startTokenService({
        host: '127.0.0.1',
        port: await freePort(),
        issuer: 'Acme auth server',
        users: { alice: PASSWORD, bob: PASSWORD },
        // Everybody pulls what is public, alice does everything to her own.
        mayDo: (user, repository, action) =>
          user === 'alice'
            ? /^(?:local\/)?alice\//.test(repository)
            : repository.startsWith('alice/public') && action === 'pull',
      }),
    );
    const common = {
      storage: { dataDir: makeTempFolder('data') },
      upstreamUrl: upstream.url,
      env: {
        AUTH_MODE: 'external',
        // By name: crane takes no token service at a private address, unless it is the registry's own.
        AUTH_TOKEN_REALM: `${issuer.url.replace('127.0.0.1', 'localhost')}/token`,
        AUTH_TOKEN_ISSUER: 'Acme auth server',
        AUTH_TOKEN_SERVICE: 'registry.example',
        AUTH_EXTERNAL_JWKS: `${issuer.url}/jwks.json`,
      },
    };
    [push, mirror] = await Promise.all([
      servers.own(startTwinport({ ...common, role: 'push' })),
      servers.own(startTwinport({ ...common, role: 'mirror' })),
    ]);
  });
  afterAll(() => servers.stopAll());

  test('let crane do at each role what they say for it, and nothing else', async () => {
    const source = `${new URL(upstream.directUrl).host}/source/image:1`;
    const { attempt, run } = clientProgram('crane');
    const logIn = async (username: string): Promise<void> => {
      for (const { host } of [push, mirror]) {
        await run('auth', 'login', '--username', username, '--password', PASSWORD, host);
      }
    };
    const fails = async (...words: readonly string[]): Promise<string> => {
      const { code, stderr } = await attempt(...words);
      expect({ words, isDone: code === 0 }).toEqual({ words, isDone: false });
      return stderr;
    };
    expect(await fails('manifest', `${push.host}/alice/app:1`)).toMatch(/UNAUTHORIZED/);
    await logIn('bob');
    expect(await fails('manifest', `${push.host}/alice/app:1`)).toMatch(/DENIED/);
    expect(await fails('copy', source, `${push.host}/alice/public:1`)).toMatch(/DENIED/);
    await logIn('alice');
    for (const name of ['alice/app:1', 'alice/public:1']) {
      await run('copy', source, `${push.host}/${name}`);
      for (const { host } of [push, mirror]) await run('validate', '--remote', `${host}/${name}`);
    }
    for (const { host } of [push, mirror]) await run('auth', 'logout', host);
    for (const { host } of [push, mirror]) {
      await run('validate', '--remote', `${host}/alice/public:1`);
      expect(await fails('manifest', `${host}/alice/app:1`)).toMatch(/UNAUTHORIZED/);
    }
    expect(await fails('delete', `${push.host}/alice/public:1`)).toMatch(/UNAUTHORIZED/);
    expect(JSON.stringify([push.logs(), mirror.logs()])).not.toContain(PASSWORD);
  });
});
