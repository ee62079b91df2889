import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { freePort } from '../../support/free-port.ts';
import { startTwinport } from '../../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../../support/temp-folder.ts';
import { type Accounts, ISSUER, makeAccounts } from './accounts.ts';
import { Client } from './client.ts';
import { pushContent, TAG } from './contents.ts';
import type { Role } from './model.ts';
import { CONTENT, OURS } from './names.ts';
import type { Sent } from './operations.ts';
import { CUT_OFF, startUpstreams } from './upstreams.ts';

export type Headers = Readonly<Record<string, string>>;

/** Both roles over one store with the projects and people of the model, and two upstreams. */
export interface Registries {
  readonly accounts: Accounts;
  /** Signs the tokens of both. */
  readonly key: KeyObject;
  /** As browsers reach the push service. */
  readonly pages: string;
  readonly client: Client;
  readonly folder: string;
  /** What two who may push to a repository show who they are by: the administrator, and somebody else. */
  readonly ownersOf: (repository: string) => readonly [Headers, Headers];
  /** As the administrator. */
  readonly asRoot: (sent: Sent, role?: Role) => ReturnType<Client['send']>;
  logs(): string;
  stop(): Promise<void>;
}

export async function startRegistries(): Promise<Registries> {
  const folder = makeFolder();
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  });
  const keyFile = path.join(makeTempFolder('token-key'), 'key.pem');
  writeFileSync(keyFile, pem, { mode: 0o600 });
  const upstreams = await startUpstreams();
  const accounts = await makeAccounts(folder, { cached: CUT_OFF, passed: upstreams.passedUrl });
  const port = await freePort();
  const pages = `http://127.0.0.1:${port}`;
  const options = {
    storage: { dataDir: folder },
    upstreamUrl: upstreams.hubUrl,
    env: {
      AUTH_MODE: 'token',
      AUTH_TOKEN_KEY_FILE: keyFile,
      // So that requests come from many addresses.
      TRUSTED_PROXIES: '127.0.0.1',
      ALLOW_INSECURE_AUTH: 'true',
      PUBLIC_HOSTS: OURS,
      MIRROR_TAG_TTL_SECONDS: '3600',
      LOG_LEVEL: 'warn',
      // Nobody is sent there.
      AUTH_OIDC_ISSUER: ISSUER,
      AUTH_OIDC_CLIENT_ID: 'twinport',
      AUTH_OIDC_CLIENT_SECRET: 'of the client',
      PUSH_PUBLIC_URL: pages,
      UPSTREAMS: upstreams.variable,
    },
  };
  // The mirror first: it publishes the names that are upstreams'.
  const mirror = await startTwinport({ role: 'mirror', ...options });
  const push = await startTwinport({ role: 'push', port, ...options });
  const client = new Client({ push: push.url, mirror: mirror.url });
  const ownersOf = ownersBy(accounts);
  const [root] = ownersOf('');
  const asRoot = (sent: Sent, role: Role = 'push'): ReturnType<Client['send']> =>
    client.send(role, sent, root);
  const registries: Registries = {
    accounts,
    key: createPrivateKey(pem),
    pages,
    client,
    folder,
    ownersOf,
    asRoot,
    logs: () => `${push.logs()}${mirror.logs()}`,
    stop: async () => {
      await client.close();
      await Promise.all([push.stop(), mirror.stop()]);
      await Promise.all([upstreams.stop(), removeTempFolder(folder)]);
    },
  };
  await pushEverything(asRoot);
  await pullEverything(asRoot);
  return registries;
}

/** By the passwords of the model. */
export const ownersBy = (accounts: Accounts): Registries['ownersOf'] => {
  const as = (who: string): Headers => ({
    authorization: basic(...(accounts.get(who) ?? ['', ''])),
  });
  return (repository) => [as('root'), as(repository === 'others/app' ? 'stranger' : 'keeper')];
};

const MEMORY = '/dev/shm';

/** Where a write need not wait for a disk, if there is such a place: thousands come, and none is to outlive anything. */
export const makeFolder = (): string =>
  existsSync(MEMORY)
    ? mkdtempSync(path.join(MEMORY, 'twinport-authorization-'))
    : makeTempFolder('authorization');

type AsRoot = Registries['asRoot'];

/** Pushes what is local. */
export async function pushEverything(asRoot: AsRoot): Promise<void> {
  for (const project of ['public', 'secret', 'others'] as const) {
    await pushContent(`${project}/app`, CONTENT[project], async (target, method, body, type) => {
      const answer = await asRoot({
        method,
        path: target,
        headers: { 'content-type': type },
        body,
      });
      if (answer.status !== 201) throw new Error(`${method} ${target}: ${answer.body.toString()}`);
    });
  }
}

/** Pulls what is to be cached. */
async function pullEverything(asRoot: AsRoot): Promise<void> {
  const cached = { 'library/hello': CONTENT.hub, 'vault/team/app': CONTENT.vault };
  for (const [name, { manifest, index, referrer, config, layer }] of Object.entries(cached)) {
    const paths = [
      ...[TAG, 'multi', manifest.digest, index.digest, referrer.digest].map(
        (reference) => `manifests/${reference}`,
      ),
      ...[config, layer].map(({ digest }) => `blobs/${digest}`),
    ];
    for (const rest of paths) {
      const answer = await asRoot({ method: 'GET', path: `/v2/${name}/${rest}` }, 'mirror');
      if (answer.status !== 200) throw new Error(`${name}/${rest}: ${answer.body.toString()}`);
    }
  }
}
