import { parseHtpasswd } from '../auth/htpasswd/parse-htpasswd.ts';
import type { LdapConfig } from '../auth/ldap/ldap-config.ts';
import type { ConfigProblem, ReadFile } from './environment.ts';
import type { ReadVariables } from './read-variables.ts';
import type { VariableName } from './variables.ts';

type Mode = ReadVariables['values']['AUTH_MODE'];

/** What has an effect in some modes alone: whoever set it believes in a protection, or in an openness, that is not there. */
const MODES: Readonly<Partial<Record<VariableName, readonly Mode[]>>> = {
  AUTH_HTPASSWD_FILE: ['htpasswd', 'token'],
  AUTH_ANONYMOUS_PULL: ['htpasswd'],
  AUTH_LDAP_URL: ['token'],
  AUTH_OIDC_ISSUER: ['token'],
  AUTH_WORKLOAD_ISSUERS: ['token'],
  AUTH_EXTERNAL_JWKS: ['external'],
  AUTH_EXTERNAL_CERTIFICATES: ['external'],
};

const WITHOUT_EFFECT: Readonly<Record<Mode, string>> = {
  none: 'everybody may do everything',
  htpasswd: 'whoever is in AUTH_HTPASSWD_FILE may do everything',
  token: 'the projects say who may do what',
  external: 'the tokens of AUTH_TOKEN_ISSUER say who may do what',
};

/** What of the settings about identities cannot be. */
export function authProblems(read: ReadVariables, readFile: ReadFile): ConfigProblem[] {
  const { values, sources } = read;
  const { AUTH_MODE: mode, AUTH_HTPASSWD_FILE: file } = values;
  const problems = uselessProblems(read);
  const missing = (name: VariableName, because: VariableName, what: string): void => {
    if (sources.has(name)) return;
    const message = `must be set, because ${sources.get(because) ?? because} is ${what}`;
    problems.push({ variable: name, message });
  };
  if (mode === 'htpasswd') missing('AUTH_HTPASSWD_FILE', 'AUTH_MODE', mode);
  if (mode === 'external') {
    missing('AUTH_TOKEN_REALM', 'AUTH_MODE', mode);
    missing('AUTH_TOKEN_ISSUER', 'AUTH_MODE', mode);
    if (!sources.has('AUTH_EXTERNAL_CERTIFICATES'))
      missing('AUTH_EXTERNAL_JWKS', 'AUTH_MODE', mode);
  }
  if (mode === 'token' && values.AUTH_LDAP_URL !== undefined) {
    missing('AUTH_LDAP_USER_BASE', 'AUTH_LDAP_URL', 'set');
    if (sources.has('AUTH_LDAP_BIND_DN')) {
      missing('AUTH_LDAP_BIND_PASSWORD', 'AUTH_LDAP_BIND_DN', 'set');
    }
    problems.push(...ldapProblems(read, values.AUTH_LDAP_URL));
  }
  if (mode === 'token' && values.AUTH_OIDC_ISSUER !== undefined) {
    missing('AUTH_OIDC_CLIENT_ID', 'AUTH_OIDC_ISSUER', 'set');
    missing('AUTH_OIDC_CLIENT_SECRET', 'AUTH_OIDC_ISSUER', 'set');
  }
  const isFileUsed = mode === 'htpasswd' || mode === 'token';
  if (file !== undefined && isFileUsed) {
    const message = htpasswdProblem(file, readFile);
    const variable = sources.get('AUTH_HTPASSWD_FILE') ?? 'AUTH_HTPASSWD_FILE';
    if (message !== undefined) problems.push({ variable, message });
  }
  return problems;
}

function uselessProblems({ values, sources }: ReadVariables): ConfigProblem[] {
  const { AUTH_MODE: mode } = values;
  return (Object.keys(MODES) as VariableName[]).flatMap((name) => {
    const variable = sources.get(name);
    if (variable === undefined || MODES[name]?.includes(mode) !== false) return [];
    return [
      { variable, message: `has no effect while AUTH_MODE is ${mode}: ${WITHOUT_EFFECT[mode]}` },
    ];
  });
}

/** Passwords of people travel to the directory. */
function ldapProblems(
  { values, sources }: ReadVariables,
  { scheme, host }: LdapConfig['url'],
): ConfigProblem[] {
  const variable = sources.get('AUTH_LDAP_URL') ?? 'AUTH_LDAP_URL';
  const startTls = values.AUTH_LDAP_START_TLS;
  if (scheme === 'ldaps') {
    return startTls
      ? [{ variable: 'AUTH_LDAP_START_TLS', message: 'is for ldap://; ldaps:// is encrypted' }]
      : [];
  }
  if (startTls || values.ALLOW_INSECURE_AUTH || isLoopback(host)) return [];
  return [
    {
      variable,
      message:
        'would send passwords unencrypted: use ldaps://, or set AUTH_LDAP_START_TLS (ALLOW_INSECURE_AUTH sends them all the same)',
    },
  ];
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.[0-9.]+$/.test(host);

function htpasswdProblem(file: string, readFile: ReadFile): string | undefined {
  let content: string;
  try {
    content = readFile(file);
  } catch {
    return `names a file that cannot be read: ${file}`;
  }
  try {
    parseHtpasswd(content);
    return undefined;
  } catch (error) {
    return `names a file that cannot be used: ${file}: ${(error as Error).message}`;
  }
}
