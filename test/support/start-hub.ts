import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import path from 'node:path';

import { makeCertificateAuthority } from './certificate-authority.ts';
import { requireTool } from './find-tool.ts';
import { freePort } from './free-port.ts';
import { type MountNamespace, startMountNamespace } from './mount-namespace.ts';
import { OwnedServers } from './owned-servers.ts';
import { startTwinport, type TwinportProcess } from './registry-process.ts';
import { startProcess } from './start-process.ts';
import { launchDistribution } from './start-upstream.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';
import { startTokenService } from './token-service.ts';

export interface HubOptions {
  /** Passwords by user. A user may pull private repositories below its own name. */
  readonly users: Readonly<Record<string, string>>;
  /** Asked at each request for a token, so that a repository may turn private. */
  isPrivate(repository: string): boolean;
}

/** What stands in for Docker Hub: its names, TLS on port 443, its token service. Behind them a real registry. */
export interface Hub {
  /** Where Docker Hub's names mean this one. */
  readonly namespace: MountNamespace;
  readonly authorityFile: string;
  /** The same registry without TLS and login, for a test to push to. */
  readonly directUrl: string;
  /** The users in whose names somebody asked its token service. */
  readonly claimedUsers: readonly string[];
  /** Refuses connections from now on, as does its token service. */
  goDown(): Promise<void>;
  stop(): Promise<void>;
}

const PORT = 443;
const REGISTRY_NAMES = ['registry-1.docker.io', 'index.docker.io', 'docker.io'] as const;
const TOKEN_NAME = 'auth.docker.io';

/** Needs root: for the port, and for names that mean it inside its namespace alone. */
export async function startHub(options: HubOptions): Promise<Hub> {
  const servers = new OwnedServers();
  const outward = new OwnedServers();
  const folder = makeTempFolder('hub');
  // Addresses that nobody else is likely to use: any of 127.0.0.0/8 is this machine.
  const network = `127.${randomOctet()}.${randomOctet()}`;
  const registryAddress = `${network}.2`;
  const tokenAddress = `${network}.3`;
  const authority = await makeCertificateAuthority();
  const service = await outward.own(
    startTokenService({
      host: tokenAddress,
      port: PORT,
      tls: await authority.issue([TOKEN_NAME]),
      issuer: TOKEN_NAME,
      users: options.users,
      mayDo: (user, repository, action) =>
        action === 'pull' && (!options.isPrivate(repository) || repository.startsWith(`${user}/`)),
    }),
  );

  const jwks = path.join(folder, 'jwks.json');
  writeFileSync(jwks, JSON.stringify(service.jwks));
  const dataDir = path.join(folder, 'data');
  mkdirSync(dataDir);
  const tls = await authority.issue(REGISTRY_NAMES);
  const configFile = path.join(folder, 'config.yml');
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: dataDir } },
    http: {
      addr: `${registryAddress}:${PORT}`,
      tls: { certificate: tls.certificateFile, key: tls.keyFile },
    },
    auth: {
      token: {
        realm: `https://${TOKEN_NAME}/token`,
        service: 'registry.docker.io',
        issuer: TOKEN_NAME,
        jwks,
        signingalgorithms: ['ES256'],
      },
    },
  };
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(config));
  const ca = readFileSync(authority.certificateFile);
  await outward.own(
    startProcess({
      name: 'registry',
      command: requireTool('registry'),
      args: ['serve', configFile],
      env: { PATH: process.env['PATH'], HOME: folder, OTEL_TRACES_EXPORTER: 'none' },
      isReady: async () => (await statusOf(registryAddress, ca)) === 401,
    }),
  );
  const directPort = await freePort();
  await servers.own(launchDistribution(folder, directPort));
  const namespace = await servers.own(
    startMountNamespace({
      ...Object.fromEntries(REGISTRY_NAMES.map((name) => [name, registryAddress])),
      [TOKEN_NAME]: tokenAddress,
    }),
  );
  return {
    namespace,
    authorityFile: authority.certificateFile,
    directUrl: `http://127.0.0.1:${directPort}`,
    claimedUsers: service.claimedUsers,
    goDown: () => outward.stopAll(),
    stop: async () => {
      await outward.stopAll();
      await servers.stopAll();
      await removeTempFolder(folder);
    },
  };
}

/** A mirror before the hub, under Docker Hub's own name, with its store in a folder. */
export const startMirrorOfHub = (
  { namespace, authorityFile }: Hub,
  dataDir: string,
  env: Readonly<Record<string, string>> = {},
): Promise<TwinportProcess> =>
  startTwinport({
    role: 'mirror',
    storage: { dataDir },
    upstreamUrl: `https://${REGISTRY_NAMES[0]}`,
    namespace,
    env: { NODE_EXTRA_CA_CERTS: authorityFile, ...env },
  });

const randomOctet = (): number => 2 + Math.floor(Math.random() * 250);

function statusOf(address: string, ca: Buffer): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: address, port: PORT, path: '/v2/', ca, servername: REGISTRY_NAMES[0] };
    get(options, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).once('error', reject);
  });
}
