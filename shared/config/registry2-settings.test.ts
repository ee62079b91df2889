import { describe, expect, test } from '@jest/globals';

import type { Config } from './config.ts';
import type { Mode } from './create-roles.ts';
import type { Environment } from './environment.ts';
import { type ConfigResult, loadConfig } from './load-config.ts';

function load(env: Environment, yaml?: string, mode: Mode = 'serve'): ConfigResult {
  return loadConfig(
    { ...(yaml === undefined ? {} : { REGISTRY_CONFIG: '/config.yml' }), ...env },
    {
      mode,
      readFile: (path) => {
        if (path === '/config.yml' && yaml !== undefined) return yaml;
        if (path.startsWith('/certs/')) return 'PEM';
        throw new Error(`no such file: ${path}`);
      },
    },
  );
}

function config(env: Environment, yaml?: string): Config {
  const result = load(env, yaml);
  if (!result.isValid) throw new Error(JSON.stringify(result.problems));
  return result.config.roles[0];
}

function problems(env: Environment, yaml?: string, mode: Mode = 'serve'): string[] {
  const result = load(env, yaml, mode);
  return result.isValid
    ? []
    : result.problems.map(({ variable, message }) => `${variable} ${message}`);
}

const S3 = { REGISTRY_STORAGE_S3_BUCKET: 'images' };

describe("registry:2's variables", () => {
  test.each<[Environment, object]>([
    [{ REGISTRY_HTTP_ADDR: ':5005' }, { http: { host: '0.0.0.0', port: 5005 } }],
    [{ REGISTRY_HTTP_ADDR: '127.0.0.1:5005' }, { http: { host: '127.0.0.1', port: 5005 } }],
    [{ REGISTRY_HTTP_ADDR: '[::1]:5005' }, { http: { host: '::1', port: 5005 } }],
    [
      { REGISTRY_HTTP_TLS_CERTIFICATE: '/certs/c', REGISTRY_HTTP_TLS_KEY: '/certs/k' },
      { http: { tls: { certificateFile: '/certs/c', keyFile: '/certs/k' } } },
    ],
    [
      { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/var/lib/registry' },
      { storage: { kind: 'filesystem', dataDir: '/var/lib/registry' } },
    ],
    [
      { ...S3, REGISTRY_STORAGE: 's3', REGISTRY_STORAGE_S3_REGION: 'eu-west-1' },
      { storage: { kind: 's3', bucket: 'images', region: 'eu-west-1' } },
    ],
    [
      { ...S3, REGISTRY_STORAGE_S3_REGIONENDPOINT: 'http://minio:9000' },
      { storage: { endpoint: 'http://minio:9000', forcePathStyle: true } },
    ],
    [
      { ...S3, REGISTRY_STORAGE_S3_REGIONENDPOINT: 'minio:9000' },
      { storage: { endpoint: 'https://minio:9000' } },
    ],
    [
      {
        ...S3,
        REGISTRY_STORAGE_S3_REGIONENDPOINT: 'minio:9000',
        REGISTRY_STORAGE_S3_SECURE: 'false',
      },
      { storage: { endpoint: 'http://minio:9000' } },
    ],
    [
      { ...S3, REGISTRY_STORAGE_S3_ACCESSKEY: 'a', REGISTRY_STORAGE_S3_SECRETKEY: 's' },
      { storage: { credentials: { accessKeyId: 'a', secretAccessKey: 's' } } },
    ],
    [
      { ...S3, REGISTRY_STORAGE_S3_ROOTDIRECTORY: '/deep/down' },
      { storage: { prefix: 'deep/down' } },
    ],
    [{ ...S3, REGISTRY_STORAGE_S3_FORCEPATHSTYLE: 'True' }, { storage: { forcePathStyle: true } }],
    [{ ...S3, REGISTRY_STORAGE_REDIRECT_DISABLE: 'true' }, { storage: { redirect: undefined } }],
    [
      {
        ...S3,
        REGISTRY_STORAGE_REDIRECT_DISABLE: 'off',
        REGISTRY_STORAGE_S3_REDIRECTENDPOINT: 'https://s3.example',
      },
      { storage: { redirect: { endpoint: 'https://s3.example' } } },
    ],
    [{ REGISTRY_STORAGE_DELETE_ENABLED: 'no' }, { isDeleteEnabled: false }],
    [
      {
        RUN_AS_MIRROR: 'true',
        REGISTRY_PROXY_REMOTEURL: 'https://hub.example',
        REGISTRY_PROXY_USERNAME: 'u',
        REGISTRY_PROXY_PASSWORD: 'p',
      },
      {
        role: 'mirror',
        defaultUpstream: {
          url: 'https://hub.example',
          credentials: [{ username: 'u', password: 'p' }],
        },
      },
    ],
    [{ REGISTRY_LOG_LEVEL: 'debug' }, { logLevel: 'debug' }],
    [
      { REGISTRY_STORAGE: '{s3: {bucket: images, region: eu-west-1}}' },
      { storage: { bucket: 'images', region: 'eu-west-1' } },
    ],
  ])('%j work as aliases', (env, expected) => {
    const result = load(env);
    expect(result.isValid && result.config.roles[0]).toMatchObject(expected);
    expect(result.warnings).toEqual([]);
  });

  test('give way to a name of ours, with a warning when the two differ', () => {
    const env = { DATA_DIR: '/ours', REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/theirs' };
    expect(config(env).storage).toMatchObject({ dataDir: '/ours' });
    expect(load(env).warnings).toEqual([
      'DATA_DIR wins over REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY, which says something else.',
    ]);
    expect(load({ ...env, DATA_DIR: '/theirs' }).warnings).toEqual([]);
  });

  test('are named in the problems that they cause', () => {
    expect(problems({ REGISTRY_HTTP_ADDR: 'unix:/x' })).toEqual([
      'REGISTRY_HTTP_ADDR must be host:port or :port',
    ]);
    expect(problems({ REGISTRY_STORAGE: 'azure' })).toEqual([
      'REGISTRY_STORAGE must be filesystem or s3, not "azure"',
    ]);
    expect(problems({ REGISTRY_HTTP_TLS_KEY: '/certs/k' })).toEqual([
      'HTTP_TLS_CERTIFICATE must be set as well, because REGISTRY_HTTP_TLS_KEY is',
    ]);
  });

  test('without a counterpart are ignored in one warning', () => {
    const result = load({
      REGISTRY_HTTP_SECRET: 'x',
      REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR: 'redis',
      REGISTRY_NOTIFICATIONS_ENDPOINTS: '[{name: a}]',
    });
    expect(result).toMatchObject({
      isValid: true,
      warnings: [
        'These settings of registry:2 have no counterpart and are ignored: ' +
          'REGISTRY_HTTP_SECRET, REGISTRY_NOTIFICATIONS_ENDPOINTS, REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR.',
      ],
    });
  });

  test.each([
    'REGISTRY_AUTH',
    'REGISTRY_AUTH_TOKEN_AUTOREDIRECT',
    'REGISTRY_HTTP_TLS_CLIENTCAS_0',
    'REGISTRY_HTTP_TLS_CLIENTAUTH',
    'REGISTRY_HTTP_TLS_MINIMUMTLS',
    'REGISTRY_HTTP_TLS_CIPHERSUITES',
    'REGISTRY_HTTP_TLS_LETSENCRYPT_EMAIL',
  ])('%s stops the start, because it asks for protection', (name) => {
    expect(problems({ [name]: 'value' })).toEqual([
      `${name} asks for a protection that is not supported here; remove it only when something else gives it`,
    ]);
  });

  test('REGISTRY_AUTH=none and empty values ask for no protection', () => {
    expect(problems({ REGISTRY_AUTH: 'none', REGISTRY_HTTP_TLS_CLIENTCAS: '' })).toEqual([]);
  });

  test.each<Mode>(['serve', 'embedded'])(
    'REGISTRY_PROXY_REMOTEURL alone is an error that says what to set (%s)',
    (mode) => {
      const told = problems({ REGISTRY_PROXY_REMOTEURL: 'https://x' }, undefined, mode);
      expect(told).toHaveLength(1);
      expect(told[0]).toMatch(/^REGISTRY_PROXY_REMOTEURL .*RUN_AS_MIRROR=true/);
      for (const value of ['true', 'false']) {
        const env = { REGISTRY_PROXY_REMOTEURL: 'https://x', RUN_AS_MIRROR: value };
        expect(problems(env, undefined, mode)).toEqual([]);
      }
    },
  );
});

describe("registry:2's configuration file", () => {
  const yaml = `
version: 0.1
log:
  level: warn
storage:
  s3:
    bucket: images
    region: eu-west-1
    regionendpoint: http://minio:9000
    accesskey: a
    secretkey: s
    rootdirectory: /deep
    forcepathstyle: true
  delete:
    enabled: false
http:
  addr: :5005
`;

  test('has the same keys', () => {
    const result = load({}, yaml);
    expect(result.warnings).toEqual([]);
    expect(result.isValid && result.config.roles[0]).toMatchObject({
      logLevel: 'warn',
      http: { port: 5005 },
      isDeleteEnabled: false,
      storage: { bucket: 'images', prefix: 'deep', endpoint: 'http://minio:9000' },
    });
  });

  test('gives way to the variables, ours and theirs', () => {
    expect(config({ REGISTRY_STORAGE_S3_BUCKET: 'other' }, yaml).storage).toMatchObject({
      bucket: 'other',
    });
    expect(config({ S3_BUCKET: 'mine' }, yaml).storage).toMatchObject({ bucket: 'mine' });
    expect(load({ S3_BUCKET: 'mine' }, yaml).warnings).toEqual([
      'S3_BUCKET wins over storage.s3.bucket in /config.yml, which says something else.',
    ]);
  });

  test('is told by key and file when it is ignored, broken or asks for protection', () => {
    const result = load(
      { RUN_AS_MIRROR: 'true' },
      'http:\n  headers:\n    X-A: [b]\n  tls:\n    letsencrypt: {email: a@b.c}\nauth:\n  htpasswd:\n    path: /h\n',
    );
    expect(result.warnings).toEqual([
      'These settings of registry:2 have no counterpart and are ignored: http.headers.x-a.0 in /config.yml.',
    ]);
    expect(result.isValid ? [] : result.problems.map(({ variable }) => variable)).toEqual([
      'http.tls.letsencrypt.email in /config.yml',
      'auth.htpasswd.path in /config.yml',
    ]);
  });

  test.each([
    ['a: [unclosed', 'REGISTRY_CONFIG names a file that is not a YAML mapping: /config.yml'],
    ['just text', 'REGISTRY_CONFIG names a file that is not a YAML mapping: /config.yml'],
  ])('%j is not one', (text, expected) => {
    expect(problems({}, text)).toEqual([expected]);
  });

  test('that cannot be read is a problem', () => {
    expect(problems({ REGISTRY_CONFIG: '/none.yml' })).toEqual([
      'REGISTRY_CONFIG names a file that cannot be read: /none.yml',
    ]);
  });

  test('asks for RUN_AS_MIRROR when it has a proxy section', () => {
    expect(problems({}, 'proxy:\n  remoteurl: https://registry-1.docker.io\n')[0]).toMatch(
      /^proxy.remoteurl in \/config.yml .*RUN_AS_MIRROR=true/,
    );
  });
});
