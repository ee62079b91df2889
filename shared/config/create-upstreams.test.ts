import { describe, expect, test } from '@jest/globals';

import type { Environment } from './environment.ts';
import { loadConfig } from './load-config.ts';
import type { UpstreamConfig } from './upstream-config.ts';

function load(entries: unknown, env: Environment = {}, files: Record<string, string> = {}) {
  return loadConfig(
    { UPSTREAMS: typeof entries === 'string' ? entries : JSON.stringify(entries), ...env },
    {
      mode: 'serve',
      readFile: (path) => {
        const content = files[path];
        if (content === undefined) throw new Error('ENOENT');
        return content;
      },
    },
  );
}

function table(
  entries: unknown,
  env: Environment = {},
  files: Record<string, string> = {},
): readonly UpstreamConfig[] {
  const result = load(entries, env, files);
  if (!result.isValid) throw new Error(JSON.stringify(result.problems));
  expect(result.warnings).toEqual([]);
  return result.config.roles[0].upstreams;
}

function problems(entries: unknown, env: Environment = {}): string[] {
  const result = load(entries, env);
  if (result.isValid) return [];
  return result.problems.map(({ variable, message }) => `${variable} ${message}`);
}

const projects = (upstreams: readonly UpstreamConfig[]): string[] =>
  upstreams.map(({ project }) => project);
const one = (upstreams: readonly UpstreamConfig[], project: string): UpstreamConfig => {
  const found = upstreams.find((upstream) => upstream.project === project);
  if (!found) throw new Error(`${project} is not among ${projects(upstreams).join(', ')}`);
  return found;
};

const BUILT_IN = [
  'mirror',
  'ghcr.io',
  'quay.io',
  'registry.k8s.io',
  'gcr.io',
  'public.ecr.aws',
  'mcr.microsoft.com',
];

describe('the table of upstreams', () => {
  test('holds the registries that everybody pulls from, without any setting', () => {
    const upstreams = table([]);
    expect(projects(upstreams)).toEqual(BUILT_IN);
    expect(one(upstreams, 'quay.io')).toEqual({
      project: 'quay.io',
      url: 'https://quay.io',
      hosts: ['quay.io'],
      credentials: [],
      authHosts: [],
      caFile: undefined,
      clientCertificateFile: undefined,
      clientKeyFile: undefined,
      insecure: false,
      proxyUrl: undefined,
      allow: [],
      deny: [],
      tagTtlSeconds: 60,
      maxStaleSeconds: undefined,
      onDeletedTag: 'drop',
      trusted: true,
      private: 'refuse',
      maxConnections: undefined,
      requestsPerSecond: undefined,
      proofTtlSeconds: 86_400,
      cacheBytes: undefined,
      prefetchPlatforms: [],
      completeBytes: 2 * 1024 ** 3,
    });
  });

  test('takes every setting of an upstream of its own', () => {
    const files = { '/ca': 'x', '/crt': 'x', '/key': 'x', '/p': 'secret' };
    const settings = {
      project: 'team',
      url: 'https://registry.example:8443',
      authHosts: ['Auth.example'],
      caFile: '/ca',
      clientCertificateFile: '/crt',
      clientKeyFile: '/key',
      insecure: true,
      proxyUrl: 'http://proxy:3128/',
      allow: ['team/*'],
      deny: ['team/secret*'],
      tagTtlSeconds: 5,
      maxStaleSeconds: 600,
      onDeletedTag: 'keep',
      trusted: false,
      private: 'shared',
      maxConnections: 8,
      requestsPerSecond: 0.5,
      proofTtlSeconds: 600,
      cacheBytes: 1000,
      prefetchPlatforms: ['linux/amd64', 'linux/arm/v7'],
      completeBytes: 0,
    };
    const credentials = [
      { username: 'u', password: 'p' },
      { username: 'u', passwordFile: '/p' },
      { helper: 'docker-credential-ecr-login get' },
      { username: 'AWS', helper: ['aws', 'ecr', 'get-login-password'], lifetimeSeconds: 36_000 },
    ];
    const upstreams = table([{ ...settings, hosts: ['registry.example'], credentials }], {}, files);
    expect(one(upstreams, 'team')).toEqual({
      ...settings,
      authHosts: ['auth.example'],
      hosts: ['registry.example', 'registry.example:8443'],
      credentials: [
        { kind: 'password', username: 'u', password: 'p' },
        { kind: 'file', username: 'u', passwordFile: '/p' },
        {
          kind: 'helper',
          command: ['docker-credential-ecr-login', 'get'],
          username: undefined,
          lifetimeSeconds: 3600,
        },
        {
          kind: 'helper',
          command: ['aws', 'ecr', 'get-login-password'],
          username: 'AWS',
          lifetimeSeconds: 36_000,
        },
      ],
    });
  });

  test('names an upstream by its host where no project is given', () => {
    expect(one(table([{ url: 'https://registry.example' }]), 'registry.example').hosts).toEqual([
      'registry.example',
    ]);
  });

  test.each<[{ project?: string; url?: string; hosts?: string[] }]>([
    [{ url: 'https://quay.io' }],
    [{ project: 'quay.io' }],
    [{ hosts: ['quay.io', 'quay.example'], url: 'https://quay.example' }],
    [{ project: 'quay', url: 'https://quay.io' }],
  ])('an entry that names a built-in upstream changes it: %j', (entry) => {
    const upstreams = table([{ ...entry, tagTtlSeconds: 7 }]);
    expect(upstreams).toHaveLength(BUILT_IN.length);
    const changed = upstreams.find(({ tagTtlSeconds }) => tagTtlSeconds === 7);
    expect(changed).toMatchObject({
      project: entry.project ?? 'quay.io',
      url: entry.url ?? 'https://quay.io',
      hosts: expect.arrayContaining(['quay.io']) as unknown,
      trusted: true,
    });
  });

  test('an entry that is not enabled takes a built-in upstream away', () => {
    expect(projects(table([{ project: 'quay.io', enabled: false }]))).toEqual(
      BUILT_IN.filter((project) => project !== 'quay.io'),
    );
  });

  test('the life of tags is the one of the variable where an entry does not say another', () => {
    const upstreams = table([{ project: 'gcr.io', tagTtlSeconds: 3 }], {
      MIRROR_TAG_TTL_SECONDS: '9',
    });
    expect(one(upstreams, 'gcr.io').tagTtlSeconds).toBe(3);
    expect(one(upstreams, 'mirror').tagTtlSeconds).toBe(9);
    expect(one(upstreams, 'ghcr.io').tagTtlSeconds).toBe(9);
  });

  test("the entry of Docker Hub joins what the variables of its own say, under the mirror's project", () => {
    const upstreams = table([{ hosts: ['docker.io'], allow: ['library/*'] }], {
      UPSTREAM_URL: 'https://hub.example',
      UPSTREAM_USERNAME: 'u',
      UPSTREAM_PASSWORD: 'p',
    });
    expect(one(upstreams, 'mirror')).toMatchObject({
      url: 'https://hub.example',
      hosts: ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'hub.example'],
      credentials: [{ username: 'u', password: 'p' }],
      allow: ['library/*'],
    });
  });

  test('UPSTREAM_URL may be a registry that is built in, which then is the default upstream alone', () => {
    const upstreams = table([], { UPSTREAM_URL: 'https://quay.io' });
    expect(projects(upstreams)).toEqual(BUILT_IN.filter((project) => project !== 'quay.io'));
    expect(one(upstreams, 'mirror').hosts).toContain('quay.io');
  });

  test('is read from a file in YAML as well', () => {
    const result = loadConfig(
      { UPSTREAMS_FILE: '/upstreams.yaml' },
      { mode: 'serve', readFile: () => '- url: https://registry.example\n  deny: ["*"]\n' },
    );
    if (!result.isValid) throw new Error(JSON.stringify(result.problems));
    expect(one(result.config.roles[0].upstreams, 'registry.example').deny).toEqual(['*']);
  });
});

describe('problems of UPSTREAMS', () => {
  test.each<[unknown, string]>([
    ['{"url": "https://x"}', 'must be a list of upstreams in JSON or YAML'],
    ['[{', 'must be a list of upstreams in JSON or YAML'],
    [[7], 'entry 1: must be settings of an upstream, like {"url": "https://registry.example"}'],
    [
      [{ url: 'https://a.example', tagTTL: 7 }],
      'entry 1 (a.example): has no setting tagTTL; did you mean tagTtlSeconds?',
    ],
    [
      [{ url: 'https://a.example' }, { project: 'b', url: 'ftp://b.example' }],
      'entry 2 (b): url must begin with http:// or https://',
    ],
    [
      [{ url: 'https://a.example', tagTtlSeconds: '7' }],
      'entry 1 (a.example): tagTtlSeconds must be a whole number from 0 to 31622400',
    ],
    [
      [{ url: 'https://a.example', credentials: [{ username: 'u', pasword: 'hunter2' }] }],
      'entry 1 (a.example): credentials[1] has no setting pasword; did you mean password?',
    ],
    [
      [{ url: 'https://a.example', credentials: [{ username: 'u' }] }],
      'entry 1 (a.example): credentials[1] must have a username with a password or a passwordFile, or a helper (with a lifetimeSeconds)',
    ],
    [
      [{ url: 'https://a.example', allow: ['UPPER/*'] }],
      'entry 1 (a.example): allow[1] must be a pattern of repository names, like "team/*"',
    ],
    [
      [{ url: 'https://a.example', onDeletedTag: 'forget' }],
      'entry 1 (a.example): onDeletedTag must be drop or keep',
    ],
    [[{ project: 'x' }], 'entry 1 (x): needs a url, because it names no built-in upstream'],
    [
      [{ url: 'https://[::1]:5000' }],
      'entry 1 ([::1]:5000): project must be set, because the url does not begin with a host name',
    ],
    [
      [{ project: 'library', url: 'https://a.example' }],
      'entry 1 (library): project library has a meaning of its own',
    ],
    [
      [{ url: 'https://a.example' }, { project: 'b', url: 'https://a.example' }],
      'entry 2 (b): a.example is the name of entry 1 (a.example) as well',
    ],
    [
      [{ hosts: ['quay.io', 'ghcr.io'] }],
      'entry 1: names two built-in upstreams, ghcr.io and quay.io',
    ],
    [
      [{ project: 'mirror', enabled: false }],
      'entry 1 (mirror): docker.io cannot be taken away, because a name without a host means it; deny: ["*"] refuses all of it',
    ],
    [
      [{ project: 'hub', hosts: ['docker.io'] }],
      'entry 1 (hub): the project of docker.io is mirror; give another registry hosts of its own',
    ],
    [
      [{ url: 'https://a.example', clientKeyFile: '/none' }],
      'entry 1 (a.example): clientCertificateFile and clientKeyFile belong together',
    ],
    [
      [{ url: 'https://a.example', caFile: '/none' }],
      'caFile of a.example names a file that cannot be read: /none',
    ],
    [
      [{ url: 'http://a.example', credentials: [{ username: 'u', password: 'p' }] }],
      'entry 1 (a.example): credentials would travel over plain http; use https, or say "insecure": true',
    ],
    [
      [{ url: 'http://127.0.0.1:5000' }],
      'the url of 127.0.0.1 names this registry itself (port 5000)',
    ],
  ])('%j', (entries, message) => {
    const told = problems(entries);
    expect(told).toContain(`UPSTREAMS ${message}`);
    expect(told.join()).not.toContain('hunter2');
  });

  test.each<[Environment, object, string]>([
    [
      { UPSTREAM_URL: 'https://hub.example' },
      { project: 'mirror', url: 'https://other.example' },
      'url and UPSTREAM_URL are both set; keep one',
    ],
    [
      { UPSTREAM_USERNAME: 'u', UPSTREAM_PASSWORD: 'p' },
      { project: 'mirror', credentials: [] },
      'credentials and UPSTREAM_USERNAME are both set; keep one',
    ],
  ])('what is said twice of Docker Hub: %j and %j', (env, entry, message) => {
    expect(problems([entry], env)).toEqual([`UPSTREAMS entry 1 (mirror): ${message}`]);
  });

  test('are told for all entries at once', () => {
    expect(
      problems([{ bad: 1 }, { worse: 1 }, { url: 'https://a.example', trusted: 1 }]),
    ).toHaveLength(3);
  });
});
