import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { storageEnvironment } from '../../support/registry-process.ts';
import { type CommandResult, runCommand } from '../../support/run-command.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import type { GuardedRegistries } from './guarded-registries.ts';

const MAIN = path.resolve(import.meta.dirname, '..', '..', '..', 'services', 'main.ts');

/** Starts that cannot be, each with the secret where it does not belong. */
export async function startWrongly(
  guarded: GuardedRegistries,
  secret: string,
): Promise<readonly CommandResult[]> {
  const folder = makeTempFolder('broken');
  const fileOf = (text: string): string => {
    const file = path.join(folder, String(text.length));
    writeFileSync(file, text);
    return file;
  };
  const broken: readonly Record<string, string>[] = [
    {
      REDIS_URL: `not a url ${secret}`,
      UPSTREAM_URL: `https://user:${secret}@registry.example`,
      UPSTREAMS: `[{"password":"${secret}"`,
      AUTH_LDAP_URL: `ldaps://user:${secret}@directory.example`,
      AUTH_OIDC_ISSUER: `https://login.example/?secret=${secret}`,
      AUTH_WORKLOAD_ISSUERS: `[{issuer: "https://x.example", token: "${secret}"}]`,
      HTTPS_PROXY: `ftp://user:${secret}`,
      INTERNAL_SECRET: secret.slice(0, 31),
      S3_ENDPOINT: `https://s3.example/#${secret}`,
      LOG_LEVEL: secret,
      RUN_AS_MIRROR: 'true',
    },
    {
      UPSTREAMS: `[{"url":"https://x.example","credentials":[{"password":"${secret}","${secret}":1}]}]`,
      AUTH_WORKLOAD_ISSUERS: `[{"${secret}": 1}]`,
    },
    { AUTH_TOKEN_KEY_FILE: fileOf(`-----BEGIN PRIVATE KEY-----\n${secret}\n`) },
    { AUTH_HTPASSWD_FILE: fileOf(`alice:${secret}\n`) },
    { S3_SECRET_ACCESS_KEY: secret },
  ];
  return await Promise.all(broken.map((env) => startWith(guarded, env)));
}

async function startWith(
  guarded: GuardedRegistries,
  env: Record<string, string>,
): Promise<CommandResult> {
  return await runCommand(process.execPath, [MAIN], {
    env: {
      PATH: process.env['PATH'],
      ...{ HTTP_HOST: '127.0.0.1', HTTP_PORT: '0', METRICS_PORT: '0' },
      ...storageEnvironment(guarded.s3),
      ...guarded.env,
      AUDIT_LOG: '',
      ...env,
    },
    timeoutMs: 30_000,
  });
}
