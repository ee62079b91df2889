import { describe, expect, test } from '@jest/globals';

import type { Config, MirrorConfig, PushConfig } from './config.ts';
import type { Environment } from './environment.ts';
import { type ConfigResult, loadConfig } from './load-config.ts';
import type { Mode } from './create-roles.ts';

type Files = Readonly<Record<string, string>>;

function load(env: Environment, mode: Mode = 'serve', files: Files = {}): ConfigResult {
  return loadConfig(env, {
    mode,
    readFile: (path) => {
      const content = files[path];
      if (content === undefined) throw new Error(`no such file: ${path}`);
      return content;
    },
  });
}

function roles(env: Environment, mode: Mode = 'serve', files: Files = {}): readonly Config[] {
  const result = load(env, mode, files);
  if (!result.isValid) throw new Error(JSON.stringify(result.problems));
  return result.config.roles;
}

const push = (env: Environment, files: Files = {}): PushConfig =>
  roles(env, 'serve', files)[0] as PushConfig;
const mirror = (env: Environment, files: Files = {}): MirrorConfig =>
  roles({ RUN_AS_MIRROR: 'true', ...env }, 'serve', files)[0] as MirrorConfig;

function problems(env: Environment, mode: Mode = 'serve', files: Files = {}): string[] {
  const result = load(env, mode, files);
  return result.isValid
    ? []
    : result.problems.map(({ variable, message }) => `${variable} ${message}`);
}

const warnings = (env: Environment, mode: Mode = 'serve', files: Files = {}) =>
  load(env, mode, files).warnings;

describe('loadConfig without any variable', () => {
  test('makes a push service over ./data on every address when it serves', () => {
    expect(push({})).toMatchObject({
      role: 'push',
      http: { host: '0.0.0.0', port: 5000, metricsPort: 9090, tls: undefined },
      storage: { kind: 'filesystem', dataDir: './data' },
      redisUrl: undefined,
      indexTrustSeconds: 5,
      redisTimeoutMs: 50,
      memoryCacheBytes: 96 * 1024 * 1024,
      pushPublicUrl: undefined,
      publicHosts: [],
      isDeleteEnabled: true,
      isDottedReserved: true,
      manifestReferences: 'require',
      uploadTtlSeconds: 604_800,
      logLevel: 'info',
      auditLog: undefined,
      defaultUpstream: {
        project: 'mirror',
        url: 'https://registry-1.docker.io',
        hosts: ['docker.io', 'index.docker.io', 'registry-1.docker.io'],
        tagTtlSeconds: 60,
      },
    });
  });

  test('makes both roles on this machine alone when it is embedded', () => {
    const [pushRole, mirrorRole] = roles({}, 'embedded');
    expect(pushRole).toMatchObject({
      role: 'push',
      http: { host: '127.0.0.1', port: 5000, metricsPort: 9090 },
      pushPublicUrl: 'http://localhost:5000',
      publicHosts: ['localhost:5000', '127.0.0.1:5000', 'localhost:5001', '127.0.0.1:5001'],
    });
    expect(mirrorRole).toMatchObject({
      role: 'mirror',
      http: { host: '127.0.0.1', port: 5001, metricsPort: 9091 },
      pushPublicUrl: 'http://localhost:5000',
      publicHosts: pushRole!.publicHosts,
      localProjects: [],
      spoolDir: undefined,
    });
  });

  test('has no warnings', () => {
    expect(warnings({})).toEqual([]);
    expect(warnings({ PATH: '/bin', HOME: '/root', npm_config_x: '1' }, 'embedded')).toEqual([]);
  });

  test('is frozen to its depths', () => {
    const config = push({ S3_BUCKET: 'b', S3_ACCESS_KEY_ID: 'a', S3_SECRET_ACCESS_KEY: 's' });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.defaultUpstream.hosts)).toBe(true);
    expect(config.storage.kind === 's3' && Object.isFrozen(config.storage.credentials)).toBe(true);
  });
});

describe('RUN_AS_MIRROR', () => {
  test.each([
    ['true', 'mirror', 5001, 9091],
    ['1', 'mirror', 5001, 9091],
    ['false', 'push', 5000, 9090],
    ['0', 'push', 5000, 9090],
  ])('%s starts the %s alone, in either mode', (value, role, port, metricsPort) => {
    for (const mode of ['serve', 'embedded'] as const) {
      const [first, ...others] = roles({ RUN_AS_MIRROR: value }, mode);
      expect(first).toMatchObject({ role, http: { host: '0.0.0.0', port, metricsPort } });
      expect(others).toEqual([]);
    }
  });

  test.each(['yes', 'TRUE', 'no', '', ' true', 'on'])('refuses %j', (value) => {
    expect(problems({ RUN_AS_MIRROR: value })).toEqual([
      `RUN_AS_MIRROR must be true, false, 1 or 0, not ${JSON.stringify(value)}`,
    ]);
  });
});

describe('values', () => {
  test.each<[string, Environment, object]>([
    ['ports', { HTTP_PORT: '8080', METRICS_PORT: '0' }, { http: { port: 8080, metricsPort: 0 } }],
    ['host', { HTTP_HOST: '::1' }, { http: { host: '::1' } }],
    ['an empty value as not set', { HTTP_PORT: '', REDIS_URL: '' }, { http: { port: 5000 } }],
    ['one process unless told otherwise', {}, { workers: 1 }],
    ['a number of workers', { WORKERS: '16' }, { workers: 16 }],
    ['a worker for each core', { WORKERS: 'Auto' }, { workers: 'auto' }],
    ['the store folder', { DATA_DIR: '/srv/x' }, { storage: { dataDir: '/srv/x' } }],
    [
      'the store kind from the bucket',
      { S3_BUCKET: 'b' },
      { storage: { kind: 's3', bucket: 'b' } },
    ],
    [
      'the store kind as said',
      { S3_BUCKET: 'b', STORAGE: 'filesystem' },
      { storage: { kind: 'filesystem' } },
    ],
    [
      'a path-style endpoint',
      { S3_BUCKET: 'b', S3_ENDPOINT: 'http://m:9000/' },
      { storage: { endpoint: 'http://m:9000', forcePathStyle: true } },
    ],
    [
      'AWS without path style',
      { S3_BUCKET: 'b' },
      {
        storage: {
          endpoint: undefined,
          forcePathStyle: false,
          region: 'us-east-1',
          credentials: undefined,
        },
      },
    ],
    [
      'path style as said',
      { S3_BUCKET: 'b', S3_ENDPOINT: 'http://m', S3_FORCE_PATH_STYLE: '0' },
      { storage: { forcePathStyle: false } },
    ],
    [
      'a prefix without slashes at its ends',
      { S3_BUCKET: 'b', S3_PREFIX: '/a/b/' },
      { storage: { prefix: 'a/b' } },
    ],
    [
      'part sizes',
      { S3_BUCKET: 'b', S3_PART_BYTES: '5242880', S3_MULTIPART_COPY_BYTES: '6000000' },
      { storage: { partBytes: 5_242_880, multipartCopyBytes: 6_000_000 } },
    ],
    [
      'keys of the bucket',
      { S3_BUCKET: 'b', S3_ACCESS_KEY_ID: 'k', S3_SECRET_ACCESS_KEY: 's' },
      { storage: { credentials: { accessKeyId: 'k', secretAccessKey: 's' } } },
    ],
    ['no redirects to a bucket', { S3_BUCKET: 'b' }, { storage: { redirect: undefined } }],
    [
      'redirects to the bucket',
      { S3_BUCKET: 'b', S3_REDIRECT_PULLS: 'true' },
      { storage: { redirect: { endpoint: undefined, lifeSeconds: 300 } } },
    ],
    [
      'redirects to where clients reach the bucket',
      {
        S3_BUCKET: 'b',
        S3_REDIRECT_PULLS: 'true',
        S3_PUBLIC_ENDPOINT: 'https://s3.example/',
        S3_REDIRECT_SECONDS: '60',
      },
      { storage: { redirect: { endpoint: 'https://s3.example', lifeSeconds: 60 } } },
    ],
    [
      'the URL of Redis',
      { REDIS_URL: 'rediss://:p@r:6380/1' },
      { redisUrl: 'rediss://:p@r:6380/1' },
    ],
    ['deletes switched off', { DELETE_ENABLED: 'false' }, { isDeleteEnabled: false }],
    [
      'lenient manifests',
      { MANIFEST_REFERENCES: 'allow-missing' },
      { manifestReferences: 'allow-missing' },
    ],
    ['a log level in any case', { LOG_LEVEL: 'WARN' }, { logLevel: 'warn' }],
    [
      'times',
      {
        UPLOAD_TTL_SECONDS: '60',
        SHUTDOWN_GRACE_SECONDS: '3',
        HTTP_IDLE_TIMEOUT_SECONDS: '7',
        INDEX_TRUST_SECONDS: '1',
      },
      {
        uploadTtlSeconds: 60,
        shutdownGraceSeconds: 3,
        idleTimeoutSeconds: 7,
        indexTrustSeconds: 1,
      },
    ],
    [
      'public hosts',
      {
        PUBLIC_HOSTS: 'Reg.example.com, 10.0.0.1:5000',
        PUSH_PUBLIC_URL: 'https://push.example.com/',
      },
      {
        publicHosts: ['reg.example.com', '10.0.0.1:5000', 'push.example.com'],
        pushPublicUrl: 'https://push.example.com',
      },
    ],
    [
      'an upstream and its own host',
      { UPSTREAM_URL: 'http://127.0.0.1:5555/' },
      {
        defaultUpstream: {
          project: 'mirror',
          url: 'http://127.0.0.1:5555',
          hosts: ['docker.io', 'index.docker.io', 'registry-1.docker.io', '127.0.0.1:5555'],
        },
      },
    ],
    ['a crash point', { TWINPORT_CRASH_POINT: 'blob.linked:2' }, { crashPoint: 'blob.linked:2' }],
  ])('reads %s', (_, env, expected) => {
    expect(push(env)).toMatchObject(expected);
  });

  test.each<[string, Environment, object]>([
    ['tag life', { MIRROR_TAG_TTL_SECONDS: '0' }, { defaultUpstream: { tagTtlSeconds: 0 } }],
    [
      'local projects',
      { MIRROR_LOCAL_PROJECTS: 'team-*, apps' },
      { localProjects: ['team-*', 'apps'] },
    ],
    [
      'the spool',
      { SPOOL_DIR: '/spool', SPOOL_MAX_BYTES: '1000' },
      { spoolDir: '/spool', spoolMaxBytes: 1000 },
    ],
    [
      'credentials',
      { UPSTREAM_USERNAME: 'u', UPSTREAM_PASSWORD: 'p' },
      { defaultUpstream: { credentials: [{ username: 'u', password: 'p' }] } },
    ],
  ])('reads %s of the mirror', (_, env, expected) => {
    expect(mirror(env)).toMatchObject(expected);
  });

  test('takes both ports of npm start, HTTP_PORT standing for the push port', () => {
    const ports = (env: Environment) => roles(env, 'embedded').map(({ http }) => http.port);
    expect(ports({ PUSH_PORT: '6000', MIRROR_PORT: '6001' })).toEqual([6000, 6001]);
    expect(ports({ HTTP_PORT: '7000' })).toEqual([7000, 5001]);
  });

  test('reads the certificate and its key by their files', () => {
    const env = { HTTP_TLS_CERTIFICATE: '/c.pem', HTTP_TLS_KEY: '/k.pem' };
    const files = { '/c.pem': 'C', '/k.pem': 'K' };
    expect(push(env, files).http.tls).toEqual({ certificateFile: '/c.pem', keyFile: '/k.pem' });
    expect(problems(env)).toEqual([
      'HTTP_TLS_CERTIFICATE names a file that cannot be read: /c.pem',
      'HTTP_TLS_KEY names a file that cannot be read: /k.pem',
    ]);
  });
});

describe('problems', () => {
  test.each<[Environment, string]>([
    [{ WORKERS: '0' }, 'WORKERS must be auto or a whole number from 1 to 256, not "0"'],
    [{ HTTP_PORT: 'http' }, 'HTTP_PORT must be a whole number from 0 to 65535, not "http"'],
    [{ HTTP_PORT: '65536' }, 'HTTP_PORT must be a whole number from 0 to 65535, not "65536"'],
    [{ HTTP_PORT: '5e3' }, 'HTTP_PORT must be a whole number from 0 to 65535, not "5e3"'],
    [
      { HTTP_HOST: 'http://x' },
      'HTTP_HOST must be a host name or an address, without scheme and port, not "http://x"',
    ],
    [{ STORAGE: 'azure' }, 'STORAGE must be filesystem or s3, not "azure"'],
    [{ STORAGE: 's3' }, 'S3_BUCKET must be set, because STORAGE is s3'],
    [
      { S3_BUCKET: 'b', S3_ACCESS_KEY_ID: 'k' },
      'S3_SECRET_ACCESS_KEY must be set as well, because S3_ACCESS_KEY_ID is',
    ],
    [
      { S3_BUCKET: 'b', S3_PREFIX: 'a/../b' },
      'S3_PREFIX must be path segments of letters, digits, dots, underscores and dashes, not "a/../b"',
    ],
    [
      { S3_BUCKET: 'b', S3_ENDPOINT: 'minio:9000' },
      'S3_ENDPOINT must be a URL that begins with http:// or https://, not "minio:9000"',
    ],
    [
      { S3_REDIRECT_PULLS: 'true' },
      'S3_REDIRECT_PULLS needs a bucket: with files there is no server that clients could be sent to',
    ],
    [
      { S3_BUCKET: 'b', S3_PUBLIC_ENDPOINT: 'https://s3.example/path' },
      'S3_PUBLIC_ENDPOINT must not contain a path, not "https://s3.example/path"',
    ],
    [
      { S3_PART_BYTES: '5MB' },
      'S3_PART_BYTES must be a whole number from 5242880 to 5368709120, not "5MB"',
    ],
    [{ HTTP_TLS_KEY: '/k' }, 'HTTP_TLS_CERTIFICATE must be set as well, because HTTP_TLS_KEY is'],
    [
      { REDIS_URL: 'localhost:6379' },
      'REDIS_URL must be a URL that begins with redis:// or rediss://',
    ],
    [
      { UPSTREAM_URL: 'ftp://x' },
      'UPSTREAM_URL must begin with http:// or https://, not "ftp://x"',
    ],
    [
      { UPSTREAM_URL: 'https://u:pw@x' },
      'UPSTREAM_URL must not contain a user name or password; they have variables of their own',
    ],
    [{ UPSTREAM_URL: 'https://x/?a=b' }, 'UPSTREAM_URL must not contain a query or fragment'],
    [
      { UPSTREAM_URL: 'https://x/v2/' },
      'UPSTREAM_URL must not contain a path, not "https://x/v2/"',
    ],
    [
      { UPSTREAM_URL: 'https://me', PUSH_PUBLIC_URL: 'https://me' },
      'UPSTREAM_URL names this registry itself (PUBLIC_HOSTS, PUSH_PUBLIC_URL)',
    ],
    [
      { UPSTREAM_USERNAME: 'u' },
      'UPSTREAM_PASSWORD must be set as well, because UPSTREAM_USERNAME is',
    ],
    [
      { MIRROR_LOCAL_PROJECTS: 'a/b' },
      'MIRROR_LOCAL_PROJECTS must be a list of project names, with * for any part, separated by commas, not "a/b"',
    ],
    [
      { PUBLIC_HOSTS: 'https://x' },
      'PUBLIC_HOSTS must be a list of host or host:port, separated by commas, not "https://x"',
    ],
    [
      { MANIFEST_REFERENCES: 'no' },
      'MANIFEST_REFERENCES must be require or allow-missing, not "no"',
    ],
    [{ DELETE_ENABLED: 'True' }, 'DELETE_ENABLED must be true, false, 1 or 0, not "True"'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL must be debug, info, warn or error, not "loud"'],
    [{ DATA_DIR: 'a\nb' }, 'DATA_DIR must not contain control characters, not "a\\nb"'],
  ])('%j is told', (env, expected) => {
    const told = problems(env).map((problem) =>
      problem.includes('cannot be read') ? 'unreadable' : problem,
    );
    expect(told).toContain(expected);
  });

  test.each<[Mode, Environment, string]>([
    ['serve', { HTTP_PORT: '9090' }, 'METRICS_PORT and HTTP_PORT are both 9090; they must differ'],
    [
      'embedded',
      { MIRROR_PORT: '5000' },
      'MIRROR_PORT and PUSH_PORT are both 5000; they must differ',
    ],
    [
      'embedded',
      { METRICS_PORT: '5000' },
      'METRICS_PORT and PUSH_PORT are both 5000; they must differ',
    ],
  ])('tell of one port for two servers (%s, %j)', (mode, env, expected) => {
    expect(problems(env, mode)).toContain(expected);
  });

  test('tell that the metrics of the mirror would have no port', () => {
    const env = { METRICS_PORT: '65535' };
    expect(problems(env, 'embedded')).toEqual([
      "METRICS_PORT must be at most 65534, because the mirror's metrics take the port after it",
    ]);
    expect(problems({ METRICS_PORT: '65534' }, 'embedded')).toEqual([]);
    expect(problems(env, 'serve')).toEqual([]);
  });

  test.each<[Mode, Environment, number | undefined]>([
    ['embedded', { UPSTREAM_URL: 'http://localhost:6001', MIRROR_PORT: '6001' }, 6001],
    ['embedded', { UPSTREAM_URL: 'http://127.0.0.1:5000' }, 5000],
    ['embedded', { UPSTREAM_URL: 'http://10.0.0.1:5001', HTTP_HOST: '10.0.0.1' }, 5001],
    ['serve', { UPSTREAM_URL: 'http://LOCALHOST:5001', RUN_AS_MIRROR: 'true' }, 5001],
    ['serve', { UPSTREAM_URL: 'http://[::1]:5000', RUN_AS_MIRROR: 'false' }, 5000],
    ['serve', { UPSTREAM_URL: 'http://127.0.0.1', HTTP_PORT: '80', RUN_AS_MIRROR: 'true' }, 80],
    ['serve', { UPSTREAM_URL: 'http://localhost:5000', RUN_AS_MIRROR: 'true' }, undefined],
    ['embedded', { UPSTREAM_URL: 'http://localhost:6002' }, undefined],
    ['embedded', { UPSTREAM_URL: 'http://other:5001' }, undefined],
  ])('tell of an upstream that is a port of this process (%s, %j)', (mode, env, port) => {
    expect(problems(env, mode)).toEqual(
      port === undefined ? [] : [`UPSTREAM_URL names this registry itself (port ${port})`],
    );
  });

  test('are not made by ports that the system chooses', () => {
    expect(problems({ PUSH_PORT: '0', MIRROR_PORT: '0', METRICS_PORT: '0' }, 'embedded')).toEqual(
      [],
    );
  });

  test('are all told at once, by name', () => {
    const names = problems({
      RUN_AS_MIRROR: 'maybe',
      HTTP_PORT: 'x',
      STORAGE: 's3',
      REGISTRY_AUTH: 'silly',
      UPSTREAM_PASSWORD_FILE: '/none',
    }).map((problem) => problem.split(' ', 1)[0]);
    expect(new Set(names)).toEqual(
      new Set([
        'RUN_AS_MIRROR',
        'HTTP_PORT',
        'S3_BUCKET',
        'REGISTRY_AUTH',
        'UPSTREAM_PASSWORD_FILE',
      ]),
    );
  });

  test('never repeat a secret', () => {
    const told = JSON.stringify([
      load({
        REDIS_URL: 'hunter2',
        UPSTREAM_URL: 'https://user:hunter2@x',
        S3_SECRET_ACCESS_KEY: 'hunter2\u0001',
      }),
    ]);
    expect(told).not.toContain('hunter2');
  });

  test.each<Environment>([
    { UPSTREAM_URL: 'https://x/?token=hunter2' },
    { UPSTREAM_URL: 'https://user:hunter2' },
    { PUSH_PUBLIC_URL: 'https://x/#hunter2' },
    { AUTH_MODE: 'token', AUTH_LDAP_URL: 'ldaps://reader:hunter2' },
    { AUTH_MODE: 'token', AUTH_OIDC_ISSUER: 'https://login.example/?secret=hunter2' },
    { AUTH_MODE: 'token', AUTH_WORKLOAD_ISSUERS: '{hunter2' },
    { AUTH_MODE: 'token', AUTH_WORKLOAD_ISSUERS: '[{ token: hunter2 }]' },
    { AUTH_MODE: 'token', AUTH_WORKLOAD_ISSUERS: '[{ hunter2 }]' },
    { UPSTREAMS: '[{ hunter2 }]' },
    { UPSTREAMS: '[{ credentials: [{ hunter2 }] }]' },
    { UPSTREAMS: '[{ project: x, password: hunter2 }]' },
    { HTTPS_PROXY: 'ftp://user:hunter2@proxy.example' },
    { INTERNAL_SECRET: 'hunter2' },
    { LOG_LEVEL: 'password=hunter2' },
  ])('never repeat what a value of any variable may hold: %j', (env) => {
    const told = problems({ RUN_AS_MIRROR: 'true', ...env });
    expect(told.length).toBeGreaterThan(0);
    expect(told.join()).not.toContain('hunter2');
  });

  test('repeat no value that looks like a key, whichever variable has it', () => {
    const key = 'Zm9vYmFyYmF6cXV4';
    for (const name of ['LOG_LEVEL', 'HTTP_PORT', 'STORAGE', 'AUTH_MODE', 'AUTH_OIDC_ISSUER']) {
      expect(JSON.stringify(load({ [name]: key }))).not.toContain(key);
    }
  });
});

describe('secrets from files', () => {
  const bucket = { S3_BUCKET: 'b', S3_ACCESS_KEY_ID: 'k' };

  test.each(['s3cret', 's3cret\n', 's3cret\r\n'])(
    'reads %j without the newline at its end',
    (content) => {
      const config = push({ ...bucket, S3_SECRET_ACCESS_KEY_FILE: '/s' }, { '/s': content });
      expect(config.storage).toMatchObject({ credentials: { secretAccessKey: 's3cret' } });
    },
  );

  test('keeps every other white space', () => {
    const config = mirror(
      { UPSTREAM_USERNAME: 'u', UPSTREAM_PASSWORD_FILE: '/p' },
      { '/p': ' p w \n' },
    );
    expect(config.defaultUpstream.credentials).toMatchObject([{ password: ' p w ' }]);
  });

  test('refuses a value and a file at once', () => {
    const env = { REDIS_URL: 'redis://r', REDIS_URL_FILE: '/r' };
    expect(problems(env, 'serve', { '/r': 'redis://r' })).toEqual([
      'REDIS_URL and REDIS_URL_FILE are both set; keep one',
    ]);
  });

  test('refuses a file that cannot be read, and one that is empty', () => {
    expect(problems({ REDIS_URL_FILE: '/r' })).toEqual([
      'REDIS_URL_FILE names a file that cannot be read: /r',
    ]);
    expect(problems({ REDIS_URL_FILE: '/r' }, 'serve', { '/r': '\n' })).toEqual([
      'REDIS_URL_FILE names an empty file: /r',
    ]);
  });
});

describe('Kubernetes service links', () => {
  test.each<Environment>([
    { PUSH_PORT: 'tcp://10.0.0.1:5000', MIRROR_PORT: 'tcp://10.0.0.2:5001' },
    { MIRROR_PORT_5001_TCP: 'tcp://10.0.0.2:5001', MIRROR_PORT_5001_TCP_PROTO: 'tcp' },
    { MIRROR_PORT_5001_TCP_ADDR: '10.0.0.2', MIRROR_PORT_5001_TCP_PORT: '5001' },
    { HTTP_PORT: 'udp://10.0.0.1:1', METRICS_PORT: 'tcp://[fd00::1]:9090' },
    {
      REDIS_PORT: 'tcp://10.0.0.3:6379',
      REDIS_SERVICE_HOST: '10.0.0.3',
      REDIS_SERVICE_PORT: '6379',
    },
    { S3_SERVICE_PORT: '9000', S3_SERVICE_PORT_API: '9000', S3_PORT: 'tcp://10.0.0.4:9000' },
    { REGISTRY_PORT: 'tcp://10.0.0.5:5000', REGISTRY_SERVICE_HOST: '10.0.0.5' },
    {
      REGISTRY_AUTH_PORT: 'tcp://10.0.0.6:5001',
      REGISTRY_AUTH_SERVICE_HOST: '10.0.0.6',
      REGISTRY_AUTH_PORT_5001_TCP: 'tcp://10.0.0.6:5001',
    },
    {
      STORAGE_PORT: 'tcp://10.0.0.7:1',
      UPSTREAM_SERVICE_HOST: '10.0.0.8',
      TWINPORT_SERVICE_PORT: '1',
    },
  ])('%j mean nothing', (env) => {
    for (const mode of ['serve', 'embedded'] as const) {
      expect(load(env, mode)).toEqual(load({}, mode));
    }
  });
});

describe('misspelt names', () => {
  test.each([
    ['S3_BUKET', 'S3_BUCKET'],
    ['HTTP_PROT', 'HTTP_PORT'],
    ['REDIS_HOST', 'REDIS_URL'],
    ['UPSTREAM_PASWORD_FILE', 'UPSTREAM_PASSWORD_FILE'],
    ['MIRROR_TAG_TTL', 'MIRROR_TAG_TTL_SECONDS'],
    ['RUN_AS_MIROR', 'RUN_AS_MIRROR'],
    ['RUN_AS_A_MIRROR', 'RUN_AS_MIRROR'],
    ['PUSH_PUBLIC_URI', 'PUSH_PUBLIC_URL'],
    ['PUBLIC_HOST', 'PUBLIC_HOSTS'],
    ['MANIFEST_REFERENCE', 'MANIFEST_REFERENCES'],
    ['DELETE_ENABLE', 'DELETE_ENABLED'],
    ['LOG_LEVLE', 'LOG_LEVEL'],
    ['METRIC_PORT', undefined],
    ['METRICS_PROT', 'METRICS_PORT'],
    ['STORAGE_', 'STORAGE'],
    ['DATADIR', 'DATA_DIR'],
    ['SPOOL_MAX_SIZE', 'SPOOL_MAX_BYTES'],
    ['S3_SECRET_ACCESS_KEY_FIEL', 'S3_SECRET_ACCESS_KEY_FILE'],
    ['HTTP_TLS_KEY_FILE', 'HTTP_TLS_KEY'],
    ['Http_Port', 'HTTP_PORT'],
  ])('%s is met with %s', (name, nearest) => {
    expect(warnings({ [name]: 'x' })).toEqual(
      nearest === undefined
        ? []
        : [`${name} is not a setting and has no effect. Did you mean ${nearest}?`],
    );
  });

  test.each([
    'HTTP_PROXY',
    'http_proxy',
    'HTTPS_PROXY',
    'NO_PROXY',
    'LOG_FORMAT_STYLE',
    'DATA_WAREHOUSE_URL',
    'PUBLIC_URL',
    'AWS_REGION',
    'LOGNAME',
    'PORT',
  ])('%s is left to others', (name) => {
    expect(warnings({ [name]: 'x' })).toEqual([]);
  });
});

describe('settings without effect', () => {
  test('are told where somebody expects one', () => {
    expect(warnings({ S3_ENDPOINT: 'http://m:9000' })).toEqual([
      'S3_BUCKET is not set, so S3_ENDPOINT has no effect; the store is ./data.',
    ]);
    expect(warnings({ STORAGE: 'filesystem', S3_BUCKET: 'b' })).toEqual([
      'STORAGE is filesystem, so S3_BUCKET has no effect; the store is ./data.',
    ]);
    expect(warnings({ S3_BUCKET: 'b', S3_PUBLIC_ENDPOINT: 'http://s3' })).toEqual([
      'S3_PUBLIC_ENDPOINT counts only with S3_REDIRECT_PULLS=true.',
    ]);
    expect(
      warnings({ INTERNAL_URL: 'http://10.0.0.7:5002', REDIS_URL: 'redis://redis:6379' }),
    ).toEqual([
      'INTERNAL_HOST is 127.0.0.1, so no other machine reaches INTERNAL_URL (http://10.0.0.7:5002).',
    ]);
    expect(warnings({ INTERNAL_URL: 'http://127.0.0.1:5002' })).toEqual([
      'INTERNAL_URL counts only with REDIS_URL: without it mirrors do not find each other.',
    ]);
    expect(warnings({ MIRROR_PORT: '6001' })).toEqual([
      'MIRROR_PORT counts only while `npm start` runs both roles; set HTTP_PORT.',
    ]);
  });
});
