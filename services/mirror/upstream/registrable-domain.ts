import { isIP } from 'node:net';

/**
 * Second-level labels under which country registries sell names (`example.co.uk`), so that three labels are one owner.
 * A heuristic that errs towards more labels, hence towards "not the same owner".
 */
const COUNTRY_SECOND_LEVELS: ReadonlySet<string> = new Set(
  'ac co com edu go gob gouv gov govt id ind info ltd me mil net ne nom or org plc sch web'.split(
    ' ',
  ),
);

/** Domains below which strangers get names of their own; their subdomains never vouch for one another. */
const SHARED_DOMAINS: readonly string[] = [
  'amazonaws.com',
  'amazonaws.com.cn',
  'appspot.com',
  'azurecr.cn',
  'azurecr.io',
  'azurewebsites.net',
  'cloudapp.azure.com',
  'cloudfront.net',
  'cloudsmith.io',
  'duckdns.org',
  'dyndns.org',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'herokuapp.com',
  'jfrog.io',
  'netlify.app',
  'ngrok-free.app',
  'ngrok.app',
  'ngrok.io',
  'nip.io',
  'on.aws',
  'ondigitalocean.app',
  'onrender.com',
  'pages.dev',
  'pkg.dev',
  'r2.dev',
  'railway.app',
  'run.app',
  'scw.cloud',
  'sslip.io',
  'trycloudflare.com',
  'vercel.app',
  'web.app',
  'windows.net',
  'workers.dev',
];

/**
 * The domain that one owner registered, for example `docker.io` of `registry-1.docker.io`. Undefined where that cannot
 * be told or has no meaning: IP addresses, single labels, hosts below domains that strangers share.
 */
export function registrableDomain(host: string): string | undefined {
  if (host.startsWith('[') || isIP(host) !== 0 || host.endsWith('.')) return undefined;
  if (SHARED_DOMAINS.some((domain) => host === domain || host.endsWith(`.${domain}`))) {
    return undefined;
  }
  const labels = host.split('.');
  const [second = '', top = ''] = labels.slice(-2);
  const isCountrySuffix =
    top.length === 2 && (COUNTRY_SECOND_LEVELS.has(second) || second.length <= 2);
  const count = isCountrySuffix ? 3 : 2;
  return labels.length < count ? undefined : labels.slice(-count).join('.');
}
