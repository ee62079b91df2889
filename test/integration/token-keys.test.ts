import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { basic, htpasswdLines } from '../../shared/auth/testing/htpasswd-lines.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}

describe('two replicas over one store whose key files differ (T-SE1, F38)', () => {
  const servers = new OwnedServers();
  const folder = makeTempFolder('token-keys');
  const file = (name: string): string => path.join(folder, name);
  const [first, second] = [newKey(), newKey()];
  let one: TwinportProcess;
  let other: TwinportProcess;

  beforeAll(async () => {
    writeFileSync(file('users'), await htpasswdLines({ alice: 'wonderland' }));
    writeFileSync(file('one.pem'), first);
    writeFileSync(file('other.pem'), second);
    const start = (key: string): Promise<TwinportProcess> =>
      servers.own(
        startTwinport({
          role: 'push',
          storage: { dataDir: file('data') },
          env: {
            AUTH_MODE: 'token',
            AUTH_HTPASSWD_FILE: file('users'),
            AUTH_TOKEN_KEY_FILE: file(key),
          },
        }),
      );
    one = await start('one.pem');
    other = await start('other.pem');
  });
  afterAll(() => servers.stopAll());

  const tokenOf = async ({ url }: TwinportProcess): Promise<string> => {
    const answer = await fetch(`${url}/auth/token?service=twinport`, {
      headers: { authorization: basic('alice', 'wonderland') },
    });
    return ((await answer.json()) as { token: string }).token;
  };
  const statusAt = async ({ url }: TwinportProcess, token: string): Promise<number> =>
    (await fetch(`${url}/v2/`, { headers: { authorization: `Bearer ${token}` } })).status;

  test('serve, refuse the tokens of each other, and say why in the log and under degraded', async () => {
    const ready = async (): Promise<unknown> => (await fetch(`${other.metricsUrl}/readyz`)).json();
    await waitFor(async () => JSON.stringify(await ready()).includes('token-keys'), {
      what: 'the difference to be told',
    });
    expect(await ready()).toMatchObject({ status: 'ready', degraded: ['token-keys'] });
    expect(other.logs()).toContain('AUTH_TOKEN_KEY_FILE must have the same keys everywhere');
    expect(other.logs()).not.toContain(second.split('\n')[1]);
    const tokens = [await tokenOf(one), await tokenOf(other)] as const;
    expect([await statusAt(one, tokens[0]), await statusAt(other, tokens[1])]).toEqual([200, 200]);
    expect([await statusAt(one, tokens[1]), await statusAt(other, tokens[0])]).toEqual([401, 401]);
  });

  test('believe each other as soon as both files have both keys, without a restart', async () => {
    const tokens = [await tokenOf(one), await tokenOf(other)] as const;
    writeFileSync(file('one.pem'), first + second);
    writeFileSync(file('other.pem'), second + first);
    await waitFor(
      async () =>
        (await statusAt(one, tokens[1])) === 200 && (await statusAt(other, tokens[0])) === 200,
      { what: 'the files to be read again' },
    );
    const published = await (await fetch(`${one.url}/auth/jwks.json`)).json();
    expect((published as { keys: unknown[] }).keys).toHaveLength(2);
  });
});
