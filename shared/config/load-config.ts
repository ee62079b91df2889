import { authProblems } from './auth-problems.ts';
import type { Config } from './config.ts';
import { createUpstreams } from './create-upstreams.ts';
import { createRoles, type Mode, storageKind } from './create-roles.ts';
import {
  type ConfigProblem,
  type Environment,
  ownEnvironment,
  type ReadFile,
} from './environment.ts';
import { isSafeForSignIn } from './identity-source-schemas.ts';
import { misspeltNames } from './misspelt-names.ts';
import { readRegistry2Settings, type Registry2Settings } from './registry2-settings.ts';
import { readVariables, type ReadVariables } from './read-variables.ts';
import type { UpstreamConfig } from './upstream-config.ts';
import type { Values, VariableName } from './variables.ts';

export interface LoadedConfig {
  readonly mode: Mode;
  /** One role, or push and then mirror. */
  readonly roles: readonly [Config, ...Config[]];
}

export type ConfigResult =
  | { readonly isValid: true; readonly config: LoadedConfig; readonly warnings: readonly string[] }
  | {
      readonly isValid: false;
      readonly problems: readonly ConfigProblem[];
      readonly warnings: readonly string[];
    };

export interface LoadConfigOptions {
  readonly mode: Mode;
  readonly readFile: ReadFile;
}

const LAST_PORT = 65_535;
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '::1'];

/**
 * Turns the environment into a configuration, or into the list of everything that is wrong with it. Pure: files are
 * read by `readFile` alone. The result is frozen to its depths.
 */
export function loadConfig(environment: Environment, options: LoadConfigOptions): ConfigResult {
  const env = ownEnvironment(environment);
  const mode = env.has('RUN_AS_MIRROR') ? 'serve' : options.mode;
  const registry2 = readRegistry2Settings(env, options.readFile);
  const read = readVariables(env, registry2, options.readFile);
  const problems = [
    ...registry2.problems,
    ...read.problems,
    ...combinationProblems(read, registry2, env),
    ...fileProblems(read, options.readFile),
    ...authProblems(read, options.readFile),
  ];
  const warnings = [
    ...read.warnings,
    ...ignoredWarnings(registry2),
    ...misspeltNames(env.keys()),
    ...uselessWarnings(read, mode),
  ];
  const upstreams = createUpstreams(read.values, read.sources);
  const roles = createRoles(read.values, upstreams, mode);
  problems.push(
    ...upstreams.problems,
    ...upstreamFileProblems(upstreams.all, read, options.readFile),
    ...portProblems(roles, mode),
    ...loopProblems(roles, read),
    ...signInPageProblems(roles, read),
  );
  if (problems.length > 0) return { isValid: false, problems, warnings };
  return {
    isValid: true,
    config: deepFreeze({ mode, roles }),
    warnings,
  };
}

/** What is right by itself and wrong together. */
function combinationProblems(
  { values, sources }: ReadVariables,
  registry2: Registry2Settings,
  env: ReadonlyMap<string, string>,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const pairs: [VariableName, VariableName][] = [
    ['HTTP_TLS_CERTIFICATE', 'HTTP_TLS_KEY'],
    ['S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'],
    ['UPSTREAM_USERNAME', 'UPSTREAM_PASSWORD'],
  ];
  for (const [first, second] of pairs) {
    if (sources.has(first) === sources.has(second)) continue;
    const [present, missing] = sources.has(first) ? [first, second] : [second, first];
    const source = sources.get(present) ?? present;
    problems.push({ variable: missing, message: `must be set as well, because ${source} is` });
  }
  if (values.CACHE_LOW_WATER_PERCENT > values.CACHE_HIGH_WATER_PERCENT) {
    const source = sources.get('CACHE_LOW_WATER_PERCENT') ?? 'CACHE_LOW_WATER_PERCENT';
    problems.push({
      variable: source,
      message: `must not be above CACHE_HIGH_WATER_PERCENT, which is ${values.CACHE_HIGH_WATER_PERCENT}`,
    });
  }
  if (values.STORAGE === 's3' && !sources.has('S3_BUCKET')) {
    const source = sources.get('STORAGE') ?? 'STORAGE';
    problems.push({ variable: 'S3_BUCKET', message: `must be set, because ${source} is s3` });
  }
  if (env.has('S3_REDIRECT_PULLS') && values.S3_REDIRECT_PULLS && storageKind(values) !== 's3') {
    problems.push({
      variable: 'S3_REDIRECT_PULLS',
      message: 'needs a bucket: with files there is no server that clients could be sent to',
    });
  }
  if (registry2.proxySource !== undefined && !env.has('RUN_AS_MIRROR')) {
    problems.push({
      variable: registry2.proxySource,
      message:
        'makes registry:2 a pull-through cache; set RUN_AS_MIRROR=true to run the mirror, or RUN_AS_MIRROR=false to run the push service',
    });
  }
  return problems;
}

/** A registry that is its own upstream asks itself for what it does not have, without end. */
function loopProblems(
  roles: LoadedConfig['roles'],
  { sources }: ReadVariables,
): readonly ConfigProblem[] {
  const [{ publicHosts, upstreams, defaultUpstream }] = roles;
  return upstreams.flatMap((upstream) => {
    const isOwnVariable = upstream === defaultUpstream && !sources.has('UPSTREAMS');
    const told = isOwnVariable
      ? { variable: 'UPSTREAM_URL', message: 'names this registry itself' }
      : {
          variable: sources.get('UPSTREAMS') ?? 'UPSTREAM_URL',
          message: `the url of ${upstream.project} names this registry itself`,
        };
    const url = new URL(upstream.url);
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
    const hostname = url.hostname.replace(/^\[|\]$/g, '');
    const isOwnPort = roles.some(
      ({ http }) => http.port === port && [...LOOPBACK_HOSTS, http.host].includes(hostname),
    );
    if (isOwnPort) return [{ ...told, message: `${told.message} (port ${port})` }];
    if (!publicHosts.includes(url.host)) return [];
    return [{ ...told, message: `${told.message} (PUBLIC_HOSTS, PUSH_PUBLIC_URL)` }];
  });
}

/** A provider sends people back to the address that is configured, and to none that a request names. */
function signInPageProblems(
  [{ role, auth, pushPublicUrl }]: LoadedConfig['roles'],
  { sources }: ReadVariables,
): readonly ConfigProblem[] {
  if (role !== 'push' || auth.mode !== 'token' || !auth.oidc) return [];
  const because = `because ${sources.get('AUTH_OIDC_ISSUER') ?? 'AUTH_OIDC_ISSUER'} is set`;
  const variable = sources.get('PUSH_PUBLIC_URL') ?? 'PUSH_PUBLIC_URL';
  if (pushPublicUrl === undefined) return [{ variable, message: `must be set, ${because}` }];
  if (isSafeForSignIn(new URL(pushPublicUrl))) return [];
  return [{ variable, message: `must begin with https://, ${because}` }];
}

/** Two servers of one process on one port: the system would blame "another program". */
function portProblems(roles: readonly Config[], mode: Mode): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const users = new Map<number, string>();
  const claim = (port: number, variable: string): void => {
    const other = users.get(port);
    if (other !== undefined) {
      problems.push({ variable, message: `and ${other} are both ${port}; they must differ` });
    } else if (port !== 0) {
      users.set(port, variable);
    }
  };
  for (const { role, http } of roles) {
    claim(http.port, mode === 'serve' ? 'HTTP_PORT' : `${role.toUpperCase()}_PORT`);
  }
  for (const role of roles) {
    if (role.role !== 'mirror' || role.internal.url === undefined) continue;
    claim(role.internal.port, 'INTERNAL_PORT');
  }
  for (const { role, http } of roles) {
    if (http.metricsPort > LAST_PORT) {
      const message = `must be at most ${LAST_PORT - 1}, because the mirror's metrics take the port after it`;
      problems.push({ variable: 'METRICS_PORT', message });
    }
    claim(
      http.metricsPort,
      role === 'mirror' && mode === 'embedded' ? 'METRICS_PORT + 1' : 'METRICS_PORT',
    );
  }
  return problems;
}

/** Certificate and key are read again while running; that they can be read at all is known at once. */
function fileProblems({ values, sources }: ReadVariables, readFile: ReadFile): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const name of ['HTTP_TLS_CERTIFICATE', 'HTTP_TLS_KEY'] as const) {
    const path = values[name];
    if (path === undefined) continue;
    if (isReadable(path, readFile)) continue;
    const source = sources.get(name) ?? name;
    problems.push({ variable: source, message: `names a file that cannot be read: ${path}` });
  }
  return problems;
}

/** The files of an upstream are read again while running; that they can be read at all is known at once. */
function upstreamFileProblems(
  upstreams: readonly UpstreamConfig[],
  { sources }: ReadVariables,
  readFile: ReadFile,
): ConfigProblem[] {
  return upstreams.flatMap(
    ({ project, caFile, clientCertificateFile, clientKeyFile, credentials }) => {
      const files = {
        caFile,
        clientCertificateFile,
        clientKeyFile,
        passwordFile: credentials.find((credential) => credential.kind === 'file')?.passwordFile,
      };
      return Object.entries(files).flatMap(([name, path]) => {
        if (path === undefined || isReadable(path, readFile)) return [];
        const message = `${name} of ${project} names a file that cannot be read: ${path}`;
        return [{ variable: sources.get('UPSTREAMS') ?? 'UPSTREAMS', message }];
      });
    },
  );
}

function isReadable(path: string, readFile: ReadFile): boolean {
  try {
    readFile(path);
    return true;
  } catch {
    return false;
  }
}

function ignoredWarnings({ ignored }: Registry2Settings): string[] {
  if (ignored.length === 0) return [];
  return [
    `These settings of registry:2 have no counterpart and are ignored: ${ignored.join(', ')}.`,
  ];
}

/** What is right and has no effect, where somebody surely expects one. */
function uselessWarnings({ values, sources }: ReadVariables, mode: Mode): string[] {
  const warnings: string[] = [];
  if (mode === 'serve') {
    for (const name of ['PUSH_PORT', 'MIRROR_PORT'] as const) {
      if (!sources.has(name)) continue;
      warnings.push(`${name} counts only while \`npm start\` runs both roles; set HTTP_PORT.`);
    }
  }
  if (!values.S3_REDIRECT_PULLS && storageKind(values) === 's3') {
    for (const name of ['S3_PUBLIC_ENDPOINT', 'S3_REDIRECT_SECONDS'] as const) {
      const source = sources.get(name);
      if (source !== undefined) warnings.push(`${source} counts only with S3_REDIRECT_PULLS=true.`);
    }
  }
  warnings.push(...uselessInternalUrl(values));
  if (storageKind(values) === 'filesystem') {
    const names = [...sources.keys()].filter((name) => name.startsWith('S3_'));
    if (names.length > 0) {
      const source = names.map((name) => sources.get(name) ?? name).join(', ');
      const reason = names.includes('S3_BUCKET') ? 'STORAGE is filesystem' : 'S3_BUCKET is not set';
      warnings.push(`${reason}, so ${source} has no effect; the store is ${values.DATA_DIR}.`);
    }
  }
  return warnings;
}

/** Mirrors that are told of an address under which nobody reaches them lose time on each download. */
function uselessInternalUrl({ INTERNAL_URL, INTERNAL_HOST, REDIS_URL }: Values): string[] {
  if (INTERNAL_URL === undefined) return [];
  const isLoopback = (host: string): boolean => LOOPBACK_HOSTS.includes(host);
  const host = new URL(INTERNAL_URL).hostname.replace(/^\[|\]$/g, '');
  return [
    ...(REDIS_URL === undefined
      ? ['INTERNAL_URL counts only with REDIS_URL: without it mirrors do not find each other.']
      : []),
    ...(isLoopback(INTERNAL_HOST) && !isLoopback(host)
      ? [
          `INTERNAL_HOST is ${INTERNAL_HOST}, so no other machine reaches INTERNAL_URL (${INTERNAL_URL}).`,
        ]
      : []),
  ];
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const child of Object.values(value) as unknown[]) {
    if (typeof child === 'object' && child !== null) deepFreeze(child);
  }
  return Object.freeze(value);
}
