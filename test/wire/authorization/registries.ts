import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { MEDIA_TYPES } from '../../../shared/oci/media-types.ts';
import { type FakeUpstream, startFakeUpstream } from '../../support/fake-upstream.ts';
import { startTwinport } from '../../support/registry-process.ts';
import { makeTempFolder, removeTempFolder } from '../../support/temp-folder.ts';
import { type Accounts, makeAccounts } from './accounts.ts';
import { Client } from './client.ts';
import { pushContent, type RepositoryContent, TAG } from './contents.ts';
import type { Role } from './model.ts';
import { CONTENT, OURS, VAULT } from './names.ts';
import type { Sent } from './operations.ts';

/** Both roles over one store with the projects and people of the model, and two upstreams. */
export interface Registries {
  readonly accounts: Accounts;
  /** Signs the tokens of both. */
  readonly key: KeyObject;
  readonly client: Client;
  readonly folder: string;
  /** As the administrator. */
  readonly asRoot: (sent: Sent, role?: Role) => ReturnType<Client['send']>;
  logs(): string;
  stop(): Promise<void>;
}

export async function startRegistries(): Promise<Registries> {
  const folder = makeFolder();
  const accounts = await makeAccounts(folder);
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  });
  const keyFile = path.join(makeTempFolder('token-key'), 'key.pem');
  writeFileSync(keyFile, pem, { mode: 0o600 });
  const [hub, vault] = await Promise.all([startHub(), startVault()]);
  const options = {
    storage: { dataDir: folder },
    upstreamUrl: hub.url,
    env: {
      AUTH_MODE: 'token',
      AUTH_TOKEN_KEY_FILE: keyFile,
      // So that requests come from many addresses.
      TRUSTED_PROXIES: '127.0.0.1',
      ALLOW_INSECURE_AUTH: 'true',
      PUBLIC_HOSTS: OURS,
      MIRROR_TAG_TTL_SECONDS: '3600',
      LOG_LEVEL: 'warn',
      UPSTREAMS: JSON.stringify([
        {
          project: 'vault',
          url: vault.url,
          hosts: [VAULT],
          private: 'shared',
          insecure: true,
          credentials: [{ username: 'mirror', password: 'of the vault' }],
        },
      ]),
    },
  };
  // The mirror first: it publishes the names that are upstreams'.
  const mirror = await startTwinport({ role: 'mirror', ...options });
  const push = await startTwinport({ role: 'push', ...options });
  const client = new Client({ push: push.url, mirror: mirror.url });
  const root = accounts.get('root') ?? ['', ''];
  const asRoot = (sent: Sent, role: Role = 'push'): ReturnType<Client['send']> =>
    client.send(role, sent, { authorization: basic(...root) });
  const registries: Registries = {
    accounts,
    key: createPrivateKey(pem),
    client,
    folder,
    asRoot,
    logs: () => `${push.logs()}${mirror.logs()}`,
    stop: async () => {
      await client.close();
      await Promise.all([push.stop(), mirror.stop()]);
      await Promise.all([hub.stop(), vault.stop(), removeTempFolder(folder)]);
    },
  };
  await fill(registries);
  return registries;
}

const MEMORY = '/dev/shm';

/** Where a write need not wait for a disk, if there is such a place: thousands come, and none is to outlive anything. */
const makeFolder = (): string =>
  existsSync(MEMORY)
    ? mkdtempSync(path.join(MEMORY, 'twinport-authorization-'))
    : makeTempFolder('authorization');

async function startHub(): Promise<FakeUpstream> {
  const hub = await startFakeUpstream();
  addContent(hub, 'library/hello', CONTENT.hub);
  addContent(hub, 'others/app', CONTENT.hubOthers);
  addContent(hub, 'org/hidden', CONTENT.hidden);
  hub.behaviour.wantsToken = true;
  hub.behaviour.privateRepositories.add('org/hidden');
  return hub;
}

async function startVault(): Promise<FakeUpstream> {
  const vault = await startFakeUpstream();
  addContent(vault, 'team/app', CONTENT.vault);
  vault.behaviour.wantsToken = true;
  vault.behaviour.account = { username: 'mirror', password: 'of the vault' };
  vault.behaviour.privateRepositories.add('team/app');
  return vault;
}

function addContent(upstream: FakeUpstream, repository: string, content: RepositoryContent): void {
  const { config, layer, layer512, manifest, manifest512, index, referrer } = content;
  const add = (reference: string, { bytes, digest }: typeof manifest, mediaType: string): void =>
    upstream.addImage(repository, reference, { manifest: { bytes, digest, mediaType }, blobs: [] });
  add(manifest512, manifest, MEDIA_TYPES.ociManifest);
  add(referrer.digest, referrer, MEDIA_TYPES.ociManifest);
  add('multi', index, MEDIA_TYPES.ociIndex);
  add(TAG, manifest, MEDIA_TYPES.ociManifest);
  for (const { digest, bytes } of [config, layer]) upstream.addBlob(repository, digest, bytes);
  upstream.addBlob(repository, layer512, layer.bytes);
}

/** Pushes what is local, and pulls what is to be cached. */
async function fill({ asRoot }: Registries): Promise<void> {
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
