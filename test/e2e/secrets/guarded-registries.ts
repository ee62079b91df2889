import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import bcrypt from 'bcrypt';

import { makeCertificateAuthority } from '../../support/certificate-authority.ts';
import { type FakeUpstream, startFakeUpstream } from '../../support/fake-upstream.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import type { OwnedServers } from '../../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../../support/registry-process.ts';
import { type RedisServer, startRedis } from '../../support/start-redis.ts';
import { type S3Server, startMinio } from '../../support/start-s3.ts';
import { DIRECTORY, type Slapd, startSlapd } from '../../support/start-slapd.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import type { Canaries } from './canaries.ts';

/** Both roles with every secret that can be configured, over real servers that want these secrets. */
export interface GuardedRegistries {
  readonly push: TwinportProcess;
  readonly mirror: TwinportProcess;
  readonly s3: S3Server;
  readonly redis: RedisServer;
  readonly redisPassword: string;
  readonly slapd: Slapd;
  readonly upstream: FakeUpstream;
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
  const [s3, redis, slapd, upstream] = await Promise.all([
    servers.own(startMinio({ own: true })),
    servers.own(startRedis({ own: true, args: ['--requirepass', redisPassword] })),
    servers.own(
      startSlapd({
        certificate: await authority.issue(['127.0.0.1', 'localhost']),
        ldif: personOf('lara', passwords.lara),
      }),
    ),
    servers.own(startFakeUpstream()),
  ]);
  canaries.note('the secret of S3', s3.secretAccessKey);
  canaries.note("the directory's account", DIRECTORY.account.password);
  const account = { username: 'twinport', password: canaries.make('the account at the upstream') };
  upstream.addImage('library/hello', '1', makeImage());
  upstream.addImage('org/hidden', '1', makeImage());
  upstream.behaviour.wantsToken = true;
  upstream.behaviour.account = account;
  upstream.behaviour.privateRepositories.add('org/hidden');

  const file = (name: string, text: string): string => {
    const target = path.join(folder, name);
    writeFileSync(target, text, { mode: 0o600 });
    return target;
  };
  const auditLog = path.join(folder, 'audit.jsonl');
  const env = {
    LOG_LEVEL: 'debug',
    AUDIT_LOG: auditLog,
    AUTH_MODE: 'token',
    AUTH_TOKEN_KEY_FILE: file('token-key.pem', tokenKey(canaries)),
    AUTH_HTPASSWD_FILE: file('users', `harry:${await bcrypt.hash(passwords.harry, 4)}\n`),
    AUTH_LDAP_URL: `ldaps://localhost:${slapd.tlsPort}`,
    AUTH_LDAP_CA_FILE: authority.certificateFile,
    AUTH_LDAP_BIND_DN: DIRECTORY.account.dn,
    AUTH_LDAP_BIND_PASSWORD_FILE: file('ldap', DIRECTORY.account.password),
    AUTH_LDAP_USER_BASE: DIRECTORY.users,
    UPSTREAM_USERNAME: account.username,
    UPSTREAM_PASSWORD: account.password,
    MIRROR_TAG_TTL_SECONDS: '0',
  };
  const options = {
    storage: s3,
    redisUrl: `redis://:${redisPassword}@127.0.0.1:${redis.port}`,
    upstreamUrl: upstream.url,
    env,
  };
  const mirror = await servers.own(startTwinport({ role: 'mirror', ...options }));
  const push = await servers.own(startTwinport({ role: 'push', ...options }));
  return { push, mirror, s3, redis, redisPassword, slapd, upstream, auditLog, env, passwords };
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
