import { registrableDomain } from './registrable-domain.ts';

export type RealmDecision =
  | { readonly kind: 'allowed'; readonly url: URL }
  | { readonly kind: 'refused'; readonly reason: string };

/** Docker Hub's token service. */
const DOCKER_HUB_HOSTS: ReadonlySet<string> = new Set([
  'registry-1.docker.io',
  'index.docker.io',
  'docker.io',
]);
const DOCKER_HUB_REALM_HOST = 'auth.docker.io';

/**
 * Whether a token may be asked of the realm that an upstream's challenge names (CVE-2026-33540). `authHosts`: with an
 * account, for which these hosts are configured; or as nobody. Always: http only where
 * the upstream itself is http on the same host, no user information. With credentials also: the upstream's own host and
 * port, or https on the standard port of a host of the same registrable domain, or Docker Hub's token service for Docker
 * Hub. IP addresses and localhost have no registrable domain, so they must be equal.
 */
export function decideRealm(
  realm: string,
  upstream: URL,
  authHosts: readonly string[] | 'anonymous',
): RealmDecision {
  const url = URL.parse(realm);
  const refuse = (reason: string): RealmDecision => ({
    kind: 'refused',
    reason: `the upstream ${upstream.host} names the token realm ${url ? url.origin : '(not a URL)'}, which ${reason}`,
  });
  if (!url) return refuse('cannot be read');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refuse('is not http(s)');
  if (url.username !== '' || url.password !== '') return refuse('carries user information');
  if (url.protocol === 'http:') {
    if (upstream.protocol !== 'http:') return refuse('would downgrade https to http');
    if (url.hostname !== upstream.hostname) return refuse('is plain http on another host');
  }
  if (authHosts === 'anonymous' || mayHaveCredentials(url, upstream, authHosts)) {
    return { kind: 'allowed', url };
  }
  return refuse(
    authHosts.length === 0
      ? 'is not of the same host or registrable domain: credentials are not sent there'
      : 'is not among its authHosts: credentials are not sent there',
  );
}

function mayHaveCredentials(realm: URL, upstream: URL, authHosts: readonly string[]): boolean {
  if (realm.hostname === upstream.hostname && realm.port === upstream.port) {
    return realm.protocol === upstream.protocol;
  }
  if (authHosts.length > 0) return realm.protocol === 'https:' && authHosts.includes(realm.host);
  if (realm.protocol !== 'https:' || realm.port !== '' || upstream.protocol !== 'https:')
    return false;
  if (DOCKER_HUB_HOSTS.has(upstream.hostname)) return realm.hostname === DOCKER_HUB_REALM_HOST;
  const domain = registrableDomain(upstream.hostname);
  return domain !== undefined && domain === registrableDomain(realm.hostname);
}
