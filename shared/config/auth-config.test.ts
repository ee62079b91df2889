import { describe, expect, test } from '@jest/globals';

import { describeConfig } from './describe-config.ts';
import type { Environment } from './environment.ts';
import { type ConfigResult, loadConfig } from './load-config.ts';

const load = (env: Environment): ConfigResult =>
  loadConfig(env, {
    mode: 'serve',
    readFile: (path) => {
      if (path === '/users')
        return 'alice:$2y$04$vN0yWpFz6iZ0gLk9wZ0nOuV1xXqPzJ3b6r0r7pZ5nQd1o8c8eXo3G\n';
      throw new Error(`no such file: ${path}`);
    },
  });
function authOf(env: Environment): unknown {
  const result = load(env);
  if (!result.isValid) throw new Error(JSON.stringify(result.problems));
  return result.config.roles[0].auth;
}
function problems(env: Environment): string[] {
  const result = load(env);
  if (result.isValid) return [];
  return result.problems.map(({ variable, message }) => `${variable} ${message}`);
}

const LDAP = {
  AUTH_MODE: 'token',
  AUTH_LDAP_URL: 'ldaps://directory.example',
  AUTH_LDAP_USER_BASE: 'ou=people,dc=example',
};
const OIDC = {
  AUTH_MODE: 'token',
  AUTH_OIDC_ISSUER: 'https://login.example/realms/all',
  AUTH_OIDC_CLIENT_ID: 'twinport',
  AUTH_OIDC_CLIENT_SECRET: 'hidden-word',
  PUSH_PUBLIC_URL: 'https://registry.example',
};
const EXTERNAL = {
  AUTH_MODE: 'external',
  AUTH_TOKEN_REALM: 'https://auth.example/token',
  AUTH_TOKEN_ISSUER: 'auth.example',
  AUTH_EXTERNAL_JWKS: 'https://auth.example/jwks.json',
};

describe('AUTH_MODE=token', () => {
  test('needs nothing else: private projects that everybody who is signed in makes', () => {
    expect(authOf({ AUTH_MODE: 'token' })).toMatchObject({
      mode: 'token',
      htpasswdFile: undefined,
      ldap: undefined,
      workloadIssuers: [],
      projectCreation: 'everyone',
      projectVisibility: 'private',
    });
    expect(
      authOf({
        AUTH_MODE: 'token',
        AUTH_HTPASSWD_FILE: '/users',
        AUTH_PROJECT_CREATION: 'admins',
        AUTH_PROJECT_VISIBILITY: 'public',
      }),
    ).toMatchObject({
      htpasswdFile: '/users',
      projectCreation: 'admins',
      projectVisibility: 'public',
    });
  });

  test('may ask a directory', () => {
    expect(authOf(LDAP)).toMatchObject({
      ldap: {
        url: { scheme: 'ldaps', host: 'directory.example', port: 636 },
        startTls: false,
        account: undefined,
        users: { base: 'ou=people,dc=example', filter: '(uid={username})', nameAttribute: 'uid' },
        groups: undefined,
      },
    });
    const more = {
      ...LDAP,
      AUTH_LDAP_URL: 'ldap://[2001:db8::1]:3389',
      AUTH_LDAP_START_TLS: 'true',
      AUTH_LDAP_BIND_DN: 'cn=reader',
      AUTH_LDAP_BIND_PASSWORD: 'hidden-word',
      AUTH_LDAP_GROUP_BASE: 'ou=groups,dc=example',
    };
    expect(authOf(more)).toMatchObject({
      ldap: {
        url: { scheme: 'ldap', host: '2001:db8::1', port: 3389 },
        account: { dn: 'cn=reader', password: 'hidden-word' },
        groups: { kind: 'memberOf', base: 'ou=groups,dc=example' },
      },
    });
    const filter = '(member={dn})';
    expect(authOf({ ...more, AUTH_LDAP_GROUP_FILTER: filter })).toMatchObject({
      ldap: { groups: { kind: 'search', filter, nameAttribute: 'cn' } },
    });
    const result = load(more);
    const described = result.isValid ? describeConfig(result.config.roles[0]) : {};
    expect(JSON.stringify(described)).toContain('cn=reader');
    expect(JSON.stringify(described)).not.toContain('hidden-word');
  });

  test('may send people to a provider', () => {
    expect(authOf(OIDC)).toMatchObject({
      oidc: {
        issuer: 'https://login.example/realms/all',
        clientId: 'twinport',
        clientSecret: 'hidden-word',
        scopes: ['profile'],
        nameClaim: 'preferred_username',
        groupsClaim: 'groups',
        adminGroup: undefined,
      },
    });
    const more = {
      ...OIDC,
      AUTH_OIDC_SCOPES: 'openid, email groups',
      AUTH_OIDC_ADMIN_GROUP: 'ops',
    };
    expect(authOf(more)).toMatchObject({
      oidc: { scopes: ['email', 'groups'], adminGroup: 'ops' },
    });
    const result = load(OIDC);
    const described = result.isValid ? describeConfig(result.config.roles[0]) : {};
    expect(JSON.stringify(described)).toContain('login.example');
    expect(JSON.stringify(described)).not.toContain('hidden-word');
    // A mirror has no pages: it knows the people alone.
    expect(authOf({ ...OIDC, PUSH_PUBLIC_URL: '', RUN_AS_MIRROR: 'true' })).toMatchObject({
      oidc: { clientId: 'twinport' },
    });
  });

  test.each<[Environment, string]>([
    [{ AUTH_OIDC_ISSUER: 'http://login.example' }, 'AUTH_OIDC_ISSUER must be a URL that begins'],
    [{ AUTH_OIDC_ISSUER: 'https://login.example/?x' }, 'AUTH_OIDC_ISSUER must be a URL'],
    [{ AUTH_OIDC_CLIENT_ID: '' }, 'AUTH_OIDC_CLIENT_ID must be set, because AUTH_OIDC_ISSUER'],
    [{ AUTH_OIDC_CLIENT_SECRET: '' }, 'AUTH_OIDC_CLIENT_SECRET must be set'],
    [{ PUSH_PUBLIC_URL: '' }, 'PUSH_PUBLIC_URL must be set, because AUTH_OIDC_ISSUER is set'],
    [{ PUSH_PUBLIC_URL: 'http://registry.example' }, 'PUSH_PUBLIC_URL must begin with https://'],
    [{ AUTH_OIDC_GROUPS_CLAIM: 'a b' }, 'AUTH_OIDC_GROUPS_CLAIM must be the name of a claim'],
    [{ AUTH_MODE: 'none' }, 'AUTH_OIDC_ISSUER has no effect while AUTH_MODE is none'],
  ])('does not send people to a provider with %j', (env, told) => {
    expect(problems({ ...OIDC, ...env }).join('\n')).toContain(told);
  });

  test.each<[Environment, string]>([
    [{ AUTH_LDAP_URL: 'http://x' }, 'AUTH_LDAP_URL must be ldap://'],
    [{ AUTH_LDAP_URL: 'ldap://directory.example' }, 'would send passwords unencrypted'],
    [{ AUTH_LDAP_USER_BASE: '' }, 'AUTH_LDAP_USER_BASE must be set'],
    [{ AUTH_LDAP_BIND_DN: 'cn=reader' }, 'AUTH_LDAP_BIND_PASSWORD must be set'],
    [{ AUTH_LDAP_USER_FILTER: '(uid=*)' }, 'AUTH_LDAP_USER_FILTER must be a filter'],
    [{ AUTH_LDAP_START_TLS: 'true' }, 'AUTH_LDAP_START_TLS is for ldap://'],
    [{ AUTH_ANONYMOUS_PULL: 'true' }, 'AUTH_ANONYMOUS_PULL has no effect while AUTH_MODE is token'],
    [{ AUTH_WORKLOAD_ISSUERS: '{}' }, 'AUTH_WORKLOAD_ISSUERS must be a list'],
    [{ AUTH_WORKLOAD_ISSUERS: '[{}]' }, 'AUTH_WORKLOAD_ISSUERS is wrong at 0.issuer'],
  ])('does not begin with %j', (env, told) => {
    expect(problems({ ...LDAP, ...env }).join('\n')).toContain(told);
  });

  test('may believe tokens that programs have from elsewhere', () => {
    const issuers = `
      - issuer: https://kubernetes.example
        audience: registry.example
        groups: [{ group: ci, claim: kubernetes.io/namespace, pattern: ci-* }]`;
    expect(authOf({ AUTH_MODE: 'token', AUTH_WORKLOAD_ISSUERS: issuers })).toMatchObject({
      workloadIssuers: [
        {
          issuer: 'https://kubernetes.example',
          jwksUri: undefined,
          algorithms: ['RS256'],
          groups: [{ group: 'ci' }],
        },
      ],
    });
  });
});

describe('AUTH_MODE=external', () => {
  test('takes tokens of an issuer whose keys are known', () => {
    expect(authOf(EXTERNAL)).toMatchObject({
      mode: 'external',
      realm: 'https://auth.example/token',
      service: 'twinport',
      issuer: 'auth.example',
      jwks: 'https://auth.example/jwks.json',
      certificatesFile: undefined,
    });
    for (const name of ['AUTH_TOKEN_REALM', 'AUTH_TOKEN_ISSUER', 'AUTH_EXTERNAL_JWKS']) {
      expect(problems({ ...EXTERNAL, [name]: undefined })).toEqual([
        `${name} must be set, because AUTH_MODE is external`,
      ]);
    }
    expect(problems({ ...EXTERNAL, AUTH_EXTERNAL_ALGORITHMS: 'HS256' })[0]).toMatch(
      /must be a list/,
    );
    expect(problems({ ...EXTERNAL, AUTH_MODE: 'none' })[0]).toMatch(/has no effect/);
  });

  test("is what registry:2's settings of a token server mean", () => {
    expect(
      authOf({
        REGISTRY_AUTH: 'token',
        REGISTRY_AUTH_TOKEN_REALM: 'https://auth.example/auth',
        REGISTRY_AUTH_TOKEN_SERVICE: 'Docker registry',
        REGISTRY_AUTH_TOKEN_ISSUER: 'Acme auth server',
        REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: '/certs/bundle.pem',
        REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS_0: 'RS256',
        REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS_1: 'ES256',
        REGISTRY_AUTH_TOKEN_AUTOREDIRECT: 'false',
      }),
    ).toMatchObject({
      mode: 'external',
      realm: 'https://auth.example/auth',
      service: 'Docker registry',
      issuer: 'Acme auth server',
      certificatesFile: '/certs/bundle.pem',
      algorithms: ['RS256', 'ES256'],
    });
  });
});
