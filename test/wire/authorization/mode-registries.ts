import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { quickHash } from '../../../shared/auth/testing/quick-hash.ts';
import { startServices } from '../../support/start-services.ts';
import { makeTempFolder, removeTempFolder } from '../../support/temp-folder.ts';
import { type Accounts, inTurn, makeAccounts, PASSWORD, TURNS } from './accounts.ts';
import { Client } from './client.ts';
import { EXTERNAL, ExternalIssuer } from './external-issuer.ts';
import type { Role } from './model.ts';
import { makeFolder, ownersBy, pushEverything, type Registries } from './registries.ts';
import { CUT_OFF, startUpstreams } from './upstreams.ts';

/** Both roles in one mode. */
export type ModeRegistries = Pick<Registries, 'client' | 'asRoot' | 'ownersOf'>;

type Mode = 'admins' | 'file' | 'public file' | 'external';

export interface AllModes {
  /** `token` with AUTH_PROJECT_CREATION=admins; `htpasswd`, without and with AUTH_ANONYMOUS_PULL; `external`. */
  readonly byMode: Readonly<Record<Mode, ModeRegistries>>;
  /** Of `token`. */
  readonly accounts: Accounts;
  readonly issuer: ExternalIssuer;
  stop(): Promise<void>;
}

const ROLES: readonly Role[] = ['push', 'mirror'];

/** Over one store with the projects of the model and what they hold. */
export async function startAllModes(): Promise<AllModes> {
  const folder = makeFolder();
  const files = makeTempFolder('files-of-modes');
  const upstreams = await startUpstreams();
  const accounts = await makeAccounts(folder, { cached: CUT_OFF, passed: upstreams.passedUrl });
  const issuer = new ExternalIssuer(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  const htpasswd = path.join(files, 'htpasswd');
  const names = ['alice', ...Array.from({ length: TURNS }, (_, turn) => inTurn('mistaken', turn))];
  const hash = await quickHash(PASSWORD);
  writeFileSync(htpasswd, names.map((name) => `${name}:${hash}\n`).join(''));
  const jwks = path.join(files, 'jwks.json');
  writeFileSync(jwks, JSON.stringify(issuer.jwks()));
  const byFile = { AUTH_MODE: 'htpasswd', AUTH_HTPASSWD_FILE: htpasswd };
  const environments: Readonly<Record<Mode, Record<string, string>>> = {
    admins: { AUTH_MODE: 'token', AUTH_PROJECT_CREATION: 'admins' },
    file: byFile,
    'public file': { ...byFile, AUTH_ANONYMOUS_PULL: 'true' },
    external: {
      AUTH_MODE: 'external',
      AUTH_TOKEN_REALM: 'https://auth.example/auth',
      AUTH_TOKEN_ISSUER: EXTERNAL.issuer,
      AUTH_TOKEN_SERVICE: EXTERNAL.service,
      AUTH_EXTERNAL_JWKS: jwks,
    },
  };
  const common = {
    TRUSTED_PROXIES: '127.0.0.1',
    ALLOW_INSECURE_AUTH: 'true',
    LOG_LEVEL: 'warn',
    MIRROR_TAG_TTL_SECONDS: '3600',
    UPSTREAMS: upstreams.variable,
  };
  const options = Object.values(environments).flatMap((env) =>
    ROLES.map((role) => ({
      role,
      storage: { dataDir: folder },
      upstreamUrl: upstreams.hubUrl,
      env: { ...common, ...env },
    })),
  );
  const services = await startServices(options);
  const clients = Object.keys(environments).map((_, place) => {
    const [push = '', mirror = ''] = services.urls.slice(2 * place);
    return new Client({ push, mirror });
  });
  const [admins, file, publicFile, external] = clients as [Client, Client, Client, Client];
  const alice = { authorization: basic('alice', PASSWORD) };
  const withFile = (client: Client): ModeRegistries => ({
    client,
    asRoot: (sent, role = 'push') => client.send(role, sent, alice),
    // Neither of them is who asks.
    ownersOf: () => [
      { authorization: basic(inTurn('mistaken', 0), PASSWORD) },
      { authorization: basic(inTurn('mistaken', 1), PASSWORD) },
    ],
  });
  const ownersOf = ownersBy(accounts);
  const [root] = ownersOf('');
  const byMode: AllModes['byMode'] = {
    admins: {
      client: admins,
      ownersOf,
      asRoot: (sent, role = 'push') => admins.send(role, sent, root),
    },
    file: withFile(file),
    'public file': withFile(publicFile),
    external: {
      client: external,
      ownersOf: (repository) => [
        issuer.headersFor(repository, 'push', 'bob'),
        issuer.headersFor(repository, 'push', 'carol'),
      ],
      asRoot: (sent, role = 'push') => {
        const [, name = ''] = /^\/v2\/(.+?)\/(?:manifests|blobs)\//.exec(sent.path) ?? [];
        return external.send(role, sent, issuer.headersFor(name, role, 'bob'));
      },
    },
  };
  await pushEverything(byMode.admins.asRoot);
  return {
    byMode,
    accounts,
    issuer,
    stop: async () => {
      await Promise.all(clients.map((client) => client.close()));
      await services.stop();
      await Promise.all([upstreams.stop(), removeTempFolder(folder), removeTempFolder(files)]);
    },
  };
}
