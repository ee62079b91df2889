/**
 * What an operator of the CNCF distribution registry ("registry:2") has set: `REGISTRY_…` variables and the same keys
 * in its configuration file. There, a variable is the path of a key in capitals, joined by `_`, and wins over the file.
 */
import { parse as parseYaml } from 'yaml';

import type { ConfigProblem, ReadFile } from './environment.ts';
import type { VariableName } from './variables.ts';

/** A value of ours that came under a name of registry:2. `source` is how the operator wrote it. */
export interface AliasValue {
  readonly source: string;
  readonly value: string;
}

export interface Registry2Settings {
  readonly aliases: ReadonlyMap<VariableName, AliasValue>;
  /** What has no counterpart here, as the operator wrote it. */
  readonly ignored: readonly string[];
  readonly problems: readonly ConfigProblem[];
  /** Set when a pull-through upstream is configured in registry:2's way. */
  readonly proxySource: string | undefined;
}

interface Setting {
  readonly source: string;
  readonly value: string;
}

type Settings = ReadonlyMap<string, Setting>;

const FILE_VARIABLES = ['REGISTRY_CONFIG', 'REGISTRY_CONFIGURATION_PATH'];

const PLAIN_ALIASES: Readonly<Record<string, VariableName>> = {
  REGISTRY_STORAGE: 'STORAGE',
  REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: 'DATA_DIR',
  REGISTRY_STORAGE_S3_BUCKET: 'S3_BUCKET',
  REGISTRY_STORAGE_S3_REGION: 'S3_REGION',
  REGISTRY_STORAGE_S3_ACCESSKEY: 'S3_ACCESS_KEY_ID',
  REGISTRY_STORAGE_S3_SECRETKEY: 'S3_SECRET_ACCESS_KEY',
  REGISTRY_STORAGE_S3_ROOTDIRECTORY: 'S3_PREFIX',
  REGISTRY_STORAGE_S3_REDIRECTENDPOINT: 'S3_PUBLIC_ENDPOINT',
  REGISTRY_HTTP_TLS_CERTIFICATE: 'HTTP_TLS_CERTIFICATE',
  REGISTRY_HTTP_TLS_KEY: 'HTTP_TLS_KEY',
  REGISTRY_AUTH_HTPASSWD_REALM: 'AUTH_BASIC_REALM',
  REGISTRY_AUTH_TOKEN_SERVICE: 'AUTH_TOKEN_SERVICE',
  REGISTRY_AUTH_TOKEN_ISSUER: 'AUTH_TOKEN_ISSUER',
  REGISTRY_AUTH_TOKEN_JWKS: 'AUTH_EXTERNAL_JWKS',
  REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: 'AUTH_EXTERNAL_CERTIFICATES',
  REGISTRY_PROXY_REMOTEURL: 'UPSTREAM_URL',
  REGISTRY_PROXY_USERNAME: 'UPSTREAM_USERNAME',
  REGISTRY_PROXY_PASSWORD: 'UPSTREAM_PASSWORD',
  REGISTRY_LOGLEVEL: 'LOG_LEVEL',
  REGISTRY_LOG_LEVEL: 'LOG_LEVEL',
};

const BOOLEAN_ALIASES: Readonly<Record<string, VariableName>> = {
  REGISTRY_STORAGE_S3_FORCEPATHSTYLE: 'S3_FORCE_PATH_STYLE',
  REGISTRY_STORAGE_DELETE_ENABLED: 'DELETE_ENABLED',
};

const AUTH = 'REGISTRY_AUTH';
/** What registry:2's are called here. */
const AUTH_MODES: ReadonlyMap<string, string> = new Map([
  ['none', 'none'],
  ['htpasswd', 'htpasswd'],
  ['token', 'external'],
]);
const TOKEN_REALM = 'REGISTRY_AUTH_TOKEN_REALM';
/** One for each entry of a list, or all of them in one variable. */
const TOKEN_ALGORITHMS = /^REGISTRY_AUTH_TOKEN_SIGNINGALGORITHMS(?:_\d+)?$/;
/** Sends clients to the host that they have used; only `false` is what happens here. */
const TOKEN_AUTOREDIRECT = 'REGISTRY_AUTH_TOKEN_AUTOREDIRECT';
const HTPASSWD_PATH = 'REGISTRY_AUTH_HTPASSWD_PATH';
const REDIRECT_DISABLE = 'REGISTRY_STORAGE_REDIRECT_DISABLE';
const ADDRESS = 'REGISTRY_HTTP_ADDR';
const S3_ENDPOINT = 'REGISTRY_STORAGE_S3_REGIONENDPOINT';
/** Decides the scheme of an endpoint written without one. */
const S3_SECURE = 'REGISTRY_STORAGE_S3_SECURE';
/** Says nothing about behaviour. */
const MEANINGLESS = new Set(['REGISTRY_VERSION']);

/** Protections that would be missing without a word: a registry that ignores them is open where it was closed. */
const SECURITY = /^REGISTRY_(?:AUTH|HTTP_TLS)(?:_|$)/;

/** Reads everything that was set for registry:2; never throws. */
export function readRegistry2Settings(
  env: ReadonlyMap<string, string>,
  readFile: ReadFile,
): Registry2Settings {
  const problems: ConfigProblem[] = [];
  const settings = collectSettings(env, readFile, problems);
  const aliases = new Map<VariableName, AliasValue>();
  const ignored: string[] = [];
  for (const [name, setting] of settings) {
    if (MEANINGLESS.has(name)) continue;
    const values = translate(name, setting, settings, problems);
    if (values !== undefined) {
      for (const [own, value] of values) aliases.set(own, { source: setting.source, value });
    } else if (isUnsupportedSecurity(name)) {
      problems.push({
        variable: setting.source,
        message:
          'asks for a protection that is not supported here; remove it only when something else gives it',
      });
    } else {
      ignored.push(setting.source);
    }
  }
  const proxySource = settings.get('REGISTRY_PROXY_REMOTEURL')?.source;
  return { aliases, ignored: ignored.sort(), problems, proxySource };
}

/** `none` is registry:2's way to say that there is no authentication. */
const isUnsupportedSecurity = (name: string): boolean =>
  SECURITY.test(name) && !name.startsWith('REGISTRY_AUTH_NONE');

/** What a setting means here; undefined when it means nothing. */
function translate(
  name: string,
  setting: Setting,
  all: Settings,
  problems: ConfigProblem[],
): [VariableName, string][] | undefined {
  const plain = PLAIN_ALIASES[name];
  if (name === TOKEN_REALM) {
    return [
      ['AUTH_MODE', 'external'],
      ['AUTH_TOKEN_REALM', setting.value],
    ];
  }
  if (plain !== undefined) return [[plain, setting.value]];
  if (TOKEN_ALGORITHMS.test(name)) {
    const entries = [...all].filter(([other]) => TOKEN_ALGORITHMS.test(other));
    return [['AUTH_EXTERNAL_ALGORITHMS', entries.map(([, { value }]) => value).join(',')]];
  }
  const boolean = BOOLEAN_ALIASES[name];
  if (boolean !== undefined) return [[boolean, yamlBoolean(setting.value)]];
  switch (name) {
    case ADDRESS:
      return translateAddress(setting, problems);
    case S3_ENDPOINT:
      return [['S3_ENDPOINT', withScheme(setting.value, all.get(S3_SECURE)?.value)]];
    case AUTH:
      return modeAlias(setting.value);
    case TOKEN_AUTOREDIRECT:
      return yamlBoolean(setting.value) === 'false' ? [] : undefined;
    case HTPASSWD_PATH:
      return [
        ['AUTH_MODE', 'htpasswd'],
        ['AUTH_HTPASSWD_FILE', setting.value],
      ];
    case REDIRECT_DISABLE:
      return [['S3_REDIRECT_PULLS', negated(setting.value)]];
    case S3_SECURE:
      return all.has(S3_ENDPOINT) ? [] : undefined;
    default:
      return undefined;
  }
}

function modeAlias(value: string): [VariableName, string][] | undefined {
  const mode = AUTH_MODES.get(value);
  return mode === undefined ? undefined : [['AUTH_MODE', mode]];
}

/** Go's listen address: `:5000`, `host:5000` or `[::1]:5000`. */
function translateAddress(
  setting: Setting,
  problems: ConfigProblem[],
): [VariableName, string][] | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(setting.value);
  if (match === null) {
    problems.push({ variable: setting.source, message: 'must be host:port or :port' });
    return [];
  }
  const [, address, host, port = ''] = match;
  const listenHost = address ?? host ?? '';
  return listenHost === ''
    ? [['HTTP_PORT', port]]
    : [
        ['HTTP_HOST', listenHost],
        ['HTTP_PORT', port],
      ];
}

const withScheme = (endpoint: string, secure: string | undefined): string =>
  endpoint.includes('://')
    ? endpoint
    : `${secure !== undefined && yamlBoolean(secure) === 'false' ? 'http' : 'https'}://${endpoint}`;

/** registry:2 takes every spelling of YAML 1.1. */
function yamlBoolean(value: string): string {
  if (/^(?:true|yes|on|y)$/i.test(value)) return 'true';
  if (/^(?:false|no|off|n)$/i.test(value)) return 'false';
  return value;
}

/** What is no boolean stays as it is, to be told. */
function negated(value: string): string {
  const boolean = yamlBoolean(value);
  if (boolean === 'true') return 'false';
  return boolean === 'false' ? 'true' : value;
}

function collectSettings(
  env: ReadonlyMap<string, string>,
  readFile: ReadFile,
  problems: ConfigProblem[],
): Settings {
  const settings = new Map<string, Setting>();
  for (const variable of FILE_VARIABLES) {
    const path = env.get(variable);
    if (path === undefined || path === '') continue;
    flatten('REGISTRY', readYaml(variable, path, readFile, problems), settings, (name) => {
      const key = name.slice('REGISTRY_'.length).toLowerCase().replaceAll('_', '.');
      return `${key} in ${path}`;
    });
    break;
  }
  for (const [name, value] of env) {
    if (!name.startsWith('REGISTRY_') || FILE_VARIABLES.includes(name)) continue;
    flatten(name, yamlMap(value) ?? value, settings, () => name);
  }
  return settings;
}

function readYaml(
  variable: string,
  path: string,
  readFile: ReadFile,
  problems: ConfigProblem[],
): unknown {
  let content: string;
  try {
    content = readFile(path);
  } catch {
    problems.push({ variable, message: `names a file that cannot be read: ${path}` });
    return undefined;
  }
  try {
    const document: unknown = parseYaml(content);
    if (typeof document === 'object' && !Array.isArray(document)) return document;
  } catch {
    // Told below: what the parser quotes may be a secret.
  }
  problems.push({ variable, message: `names a file that is not a YAML mapping: ${path}` });
  return undefined;
}

/** registry:2 also takes a whole section as YAML in one variable: `REGISTRY_AUTH={htpasswd: {…}}`. */
function yamlMap(value: string): object | undefined {
  if (!value.trimStart().startsWith('{')) return undefined;
  try {
    const parsed: unknown = parseYaml(value);
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** Every scalar below a section under the name that it has as a variable. Empty values count as not set. */
function flatten(
  name: string,
  value: unknown,
  into: Map<string, Setting>,
  source: (name: string) => string,
): void {
  if (typeof value === 'object' && value !== null) {
    for (const [key, child] of Object.entries(value)) {
      flatten(`${name}_${key.toUpperCase()}`, child, into, source);
    }
  } else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    if (value !== '') into.set(name, { source: source(name), value: String(value) });
  }
}
