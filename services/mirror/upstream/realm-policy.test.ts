import { describe, expect, test } from '@jest/globals';

import { decideRealm } from './realm-policy.ts';

const isAllowed = (upstream: string, realm: string, hasCredentials: boolean): boolean =>
  decideRealm(realm, new URL(upstream), hasCredentials ? [] : 'anonymous').kind === 'allowed';

describe('decideRealm', () => {
  test.each([
    // upstream, realm, anonymous, with credentials
    ['https://registry-1.docker.io', 'https://auth.docker.io/token', true, true],
    ['https://index.docker.io', 'https://auth.docker.io/token', true, true],
    ['https://registry-1.docker.io', 'https://evil.docker.io/token', true, false],
    ['https://registry-1.docker.io', 'https://auth.docker.io:8443/token', true, false],
    ['https://registry-1.docker.io', 'http://auth.docker.io/token', false, false],
    ['https://registry-1.docker.io', 'https://auth.docker.io.evil.net/token', true, false],
    ['https://registry-1.docker.io', 'https://user@auth.docker.io/token', false, false],
    ['https://registry-1.docker.io', 'https://auth.docker.io@evil.net/token', false, false],
    ['https://ghcr.io', 'https://ghcr.io/token', true, true],
    ['https://ghcr.io', 'https://GHCR.IO/token', true, true],
    ['https://ghcr.io', 'https://ghcr.io:444/token', true, false],
    ['https://ghcr.io', 'http://ghcr.io/token', false, false],
    ['https://ghcr.io', 'https://ghcr.io./token', true, false],
    ['https://registry.example.com', 'https://auth.example.com/token', true, true],
    ['https://registry.example.com:5000', 'https://auth.example.com/token', true, true],
    ['https://registry.example.com', 'https://example.com.evil.net/token', true, false],
    ['https://registry.example.com', 'https://examp1e.com/token', true, false],
    ['https://registry.example.com', 'https://auth.exämple.com/token', true, false],
    ['https://a.example.co.uk', 'https://b.example.co.uk/token', true, true],
    ['https://a.co.uk', 'https://b.co.uk/token', true, false],
    ['https://mine.azurecr.io', 'https://mine.azurecr.io/oauth2/token', true, true],
    ['https://mine.azurecr.io', 'https://theirs.azurecr.io/oauth2/token', true, false],
    ['https://me.github.io', 'https://you.github.io/token', true, false],
    ['https://10.0.0.1', 'https://10.0.0.1/token', true, true],
    ['https://10.0.0.1', 'https://10.0.0.2/token', true, false],
    ['https://10.0.0.1', 'https://10.0.0.1:8443/token', true, false],
    ['https://[::1]', 'https://[::1]/token', true, true],
    ['https://[::1]', 'https://[::2]/token', true, false],
    ['http://localhost:5000', 'http://localhost:5000/token', true, true],
    ['http://localhost:5000', 'http://localhost:5001/token', true, false],
    ['http://localhost:5000', 'http://127.0.0.1:5000/token', false, false],
    ['http://localhost:5000', 'https://localhost/token', true, false],
    ['http://registry.example.com', 'http://auth.example.com/token', false, false],
    ['http://registry.example.com', 'https://auth.example.com/token', true, false],
    ['https://registry.example.com', 'file:///etc/passwd', false, false],
    ['https://registry.example.com', 'data:application/json,{}', false, false],
    ['https://registry.example.com', '/token', false, false],
    ['https://registry.example.com', '', false, false],
  ])(
    '%s with the realm %j: anonymous %s, with credentials %s',
    (upstream, realm, anonymous, account) => {
      expect(isAllowed(upstream, realm, false)).toBe(anonymous);
      expect(isAllowed(upstream, realm, true)).toBe(account);
    },
  );

  test.each([
    ['https://registry.example.com', 'https://login.example.net/token', true],
    ['https://registry.example.com', 'https://login.example.net:8443/token', true],
    ['https://registry.example.com', 'https://registry.example.com/token', true],
    ['http://registry.example.com', 'http://registry.example.com/token', true],
    // What would be allowed without a list is not with one.
    ['https://registry.example.com', 'https://auth.example.com/token', false],
    ['https://registry-1.docker.io', 'https://auth.docker.io/token', false],
    ['https://registry.example.com', 'https://login.example.net:444/token', false],
    ['https://registry.example.com', 'http://login.example.net/token', false],
    ['https://registry.example.com', 'https://a.login.example.net/token', false],
  ])('%s with authHosts: credentials for %s %s', (upstream, realm, isSent) => {
    const authHosts = ['login.example.net', 'login.example.net:8443'];
    const decision = decideRealm(realm, new URL(upstream), authHosts);
    expect(decision.kind === 'allowed').toBe(isSent);
    if (upstream.startsWith('https:') && realm.startsWith('https:')) {
      expect(decideRealm(realm, new URL(upstream), 'anonymous').kind).toBe('allowed');
    }
  });

  test('names the realm that it refuses, without its query', () => {
    const decision = decideRealm('https://evil.net/token?x=1', new URL('https://ghcr.io'), []);
    expect(decision.kind === 'refused' && decision.reason).toContain('https://evil.net,');
    expect(JSON.stringify(decision)).not.toContain('x=1');
  });
});
