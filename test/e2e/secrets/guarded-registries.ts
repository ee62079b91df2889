import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import bcrypt from 'bcrypt';

import { makeCertificateAuthority } from '../../support/certificate-authority.ts';
import { freePort } from '../../support/free-port.ts';
import type { OwnedServers } from '../../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../../support/registry-process.ts';
import { type OidcProvider, startOidcProvider } from '../../support/start-oidc-provider.ts';
import { type RedisServer, startRedis } from '../../support/start-redis.ts';
import { type S3Server, startMinio } from '../../support/start-s3.ts';
import { DIRECTORY, type Slapd, startSlapd } from '../../support/start-slapd.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import type { Canaries } from './canaries.ts';
import { type GuardedUpstreams, startUpstreams } from './guarded-upstreams.ts';

/** Both roles with every secret that can be configured, over real servers that want these secrets. */
export interface GuardedRegistries {
  readonly push: TwinportProcess;
  readonly mirror: TwinportProcess;
  readonly s3: S3Server;
  readonly redis: RedisServer;
  readonly redisPassword: string;
  readonly slapd: Slapd;
  readonly provider: OidcProvider;
  readonly upstreams: GuardedUpstreams;
  readonly auditLog: string;
  /** What the processes were started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly passwords: { readonly harry: string; readonly lara: string };
}

export async function startGuarded(
  servers: OwnedServers,
  canaries: Canaries,
): Promise<GuardedRegistries> {
  const folder = makeTempFolder('secrets');
  const authority = await makeCertificateAuthority();
  const redisPassword = canaries.make('the password of Redis');
  const passwords = {
    harry: canaries.make('harry of the file'),
    lara: canaries.make('lara of the directory'),
  };
  const file = (name: string, text: string): string => {
    const target = path.join(folder, name);
    writeFileSync(target, text, { mode: 0o600 });
    return target;
  };
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const [s3, redis, slapd, provider, upstreams] = await Promise.all([
    servers.own(startMinio({ own: true })),
    servers.own(startRedis({ own: true, args: ['--requirepass', redisPassword] })),
    servers.own(
      startSlapd({
        certificate: await authority.issue(['127.0.0.1', 'localhost']),
        ldif: personOf('lara', passwords.lara),
      }),
    ),
    startProvider(servers, publicUrl),
    startUpstreams(servers, canaries, file),
  ]);
  canaries.note('the secret of S3', s3.secretAccessKey);
  canaries.note("the directory's account", DIRECTORY.account.password);
  canaries.note('the secret of the client', provider.clientSecret);

  const auditLog = path.join(folder, 'audit.jsonl');
  const env = {
    LOG_LEVEL: 'debug',
    AUDIT_LOG: auditLog,
    AUTH_MODE: 'token',
    AUTH_HTPASSWD_FILE: file('users', `harry:${await bcrypt.hash(passwords.harry, 4)}\n`),
    AUTH_LDAP_URL: `ldaps://localhost:${slapd.tlsPort}`,
    AUTH_LDAP_CA_FILE: authority.certificateFile,
    AUTH_LDAP_BIND_DN: DIRECTORY.account.dn,
    AUTH_LDAP_BIND_PASSWORD_FILE: file('ldap', DIRECTORY.account.password),
    AUTH_LDAP_USER_BASE: DIRECTORY.users,
    PUSH_PUBLIC_URL: publicUrl,
    AUTH_OIDC_ISSUER: provider.issuer,
    AUTH_OIDC_CLIENT_ID: provider.clientId,
    AUTH_OIDC_CLIENT_SECRET_FILE: file('oidc', provider.clientSecret),
    UPSTREAM_USERNAME: upstreams.hubAccount.username,
    UPSTREAM_PASSWORD: upstreams.hubAccount.password,
    UPSTREAMS: upstreams.entries,
    MIRROR_TAG_TTL_SECONDS: '0',
  };
  const options = {
    storage: s3,
    redisUrl: `redis://:${redisPassword}@127.0.0.1:${redis.port}`,
    upstreamUrl: upstreams.hub.url,
  };
  // The secrets of a mirror may lie in the store: the key of its tokens, and that by which mirrors know each other.
  const ofMirror = {
    INTERNAL_URL: 'http://127.0.0.1:5002',
    INTERNAL_HOST: '127.0.0.1',
    INTERNAL_PORT: '0',
  };
  const ofPush = { AUTH_TOKEN_KEY_FILE: file('token-key.pem', tokenKey(canaries)) };
  const [mirror, push] = [
    await servers.own(startTwinport({ role: 'mirror', ...options, env: { ...env, ...ofMirror } })),
    await servers.own(
      startTwinport({ role: 'push', ...options, port, env: { ...env, ...ofPush } }),
    ),
  ];
  const parts = { s3, redis, redisPassword, slapd, provider, upstreams };
  return { push, mirror, ...parts, auditLog, env: { ...env, ...ofPush }, passwords };
}

/** Its people come by themselves. */
async function startProvider(servers: OwnedServers, publicUrl: string): Promise<OidcProvider> {
  const provider = await startOidcProvider(`${publicUrl}/auth/oidc/callback`);
  await servers.own(Promise.resolve({ stop: () => provider.close() }));
  provider.account = { sub: 'subject-of-olga', preferred_username: 'olga', groups: [] };
  return provider;
}

const personOf = (name: string, password: string): string => `dn: uid=${name},${DIRECTORY.users}
objectClass: inetOrgPerson
uid: ${name}
cn: ${name}
sn: ${name}
userPassword: ${password}
`;

function tokenKey(canaries: Canaries): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const [, line = ''] = pem.split('\n');
  canaries.note('the key of tokens', line);
  canaries.note('the key of tokens', privateKey.export({ format: 'jwk' }).d ?? '');
  return pem;
}
