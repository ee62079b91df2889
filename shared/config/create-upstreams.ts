import { DOCKER_HUB_PROJECT } from '../content/upstream-entry.ts';
import { LOCAL_PREFIX, OFFICIAL_PREFIX } from '../content/reserved-names.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { BUILT_IN_UPSTREAMS, UPSTREAM_DEFAULTS } from './built-in-upstreams.ts';
import type { ConfigProblem } from './environment.ts';
import type { UpstreamConfig } from './upstream-config.ts';
import { entryName, type UpstreamEntrySettings } from './upstream-entries.ts';
import type { Values, VariableName } from './variables.ts';

export interface Upstreams {
  /** Docker Hub's entry first. */
  readonly all: readonly UpstreamConfig[];
  readonly standard: UpstreamConfig;
  readonly problems: readonly ConfigProblem[];
}

interface Draft {
  config: UpstreamConfig;
  readonly isBuiltIn: boolean;
  /** The entry of UPSTREAMS that said something of it last, as messages name it. */
  entry?: string;
}

/**
 * The table of upstreams: the built-in ones, Docker Hub's with what the variables of its own say, then what UPSTREAMS
 * changes, takes away and adds. An entry that names a built-in one by project, host or address changes that one.
 */
export function createUpstreams(
  values: Values,
  sources: ReadonlyMap<VariableName, string>,
): Upstreams {
  const source = sources.get('UPSTREAMS') ?? 'UPSTREAMS';
  const problems: ConfigProblem[] = [];
  const drafts = new Set(builtIns(values));
  values.UPSTREAMS.forEach((entry, index) => {
    const name = entryName(entry, index);
    const tell = (message: string): void => {
      problems.push({ variable: source, message: `${name}: ${message}` });
    };
    const named = [...drafts].filter((draft) => draft.isBuiltIn && isNamed(draft.config, entry));
    const [builtIn, second] = named;
    if (builtIn && second) {
      tell(`names two built-in upstreams, ${builtIn.config.project} and ${second.config.project}`);
      return;
    }
    const { enabled = true } = entry;
    if (builtIn) {
      const message = hubProblem(builtIn.config, entry, sources);
      if (message !== undefined) {
        tell(message);
        return;
      }
      if (!enabled) drafts.delete(builtIn);
      builtIn.config = merged(builtIn.config, entry);
      builtIn.entry = name;
    } else if (entry.url === undefined) {
      tell('needs a url, because it names no built-in upstream');
    } else if (enabled) {
      drafts.add({ config: created(entry, entry.url, values), isBuiltIn: false, entry: name });
    }
  });
  for (const { config, entry } of drafts) {
    if (entry === undefined) continue;
    for (const message of entryProblems(config)) {
      problems.push({ variable: source, message: `${entry}: ${message}` });
    }
  }
  problems.push(...clashes([...drafts], source));
  const all = [...drafts].map(({ config }) => config);
  const standard = all.find(({ project }) => project === DOCKER_HUB_PROJECT);
  if (!standard) throw new Error('the docker.io entry is never taken away');
  return { all, standard, problems };
}

function builtIns(values: Values): Draft[] {
  const tagTtlSeconds = values.MIRROR_TAG_TTL_SECONDS;
  // UPSTREAM_URL may name a registry that is built in: then Docker Hub's entry stands for it.
  const { host: ownHost } = new URL(values.UPSTREAM_URL);
  return BUILT_IN_UPSTREAMS.filter(
    ({ project, hosts }) => project === DOCKER_HUB_PROJECT || !hosts.includes(ownHost),
  ).map((builtIn) => {
    const config = { ...UPSTREAM_DEFAULTS, ...builtIn, tagTtlSeconds };
    if (config.project !== DOCKER_HUB_PROJECT) return { config, isBuiltIn: true };
    const { UPSTREAM_URL: url, UPSTREAM_USERNAME: username, UPSTREAM_PASSWORD: password } = values;
    const credentials =
      username === undefined || password === undefined
        ? []
        : [{ kind: 'password' as const, username, password }];
    const hosts = unique([...config.hosts, ownHost]);
    return { config: { ...config, url, hosts, credentials }, isBuiltIn: true };
  });
}

const isNamed = (config: UpstreamConfig, { project, hosts = [], url }: UpstreamEntrySettings) =>
  project === config.project ||
  [...hosts, ...(url === undefined ? [] : [new URL(url).host]), ...(project ? [project] : [])].some(
    (host) => config.hosts.includes(host),
  );

function merged(config: UpstreamConfig, entry: UpstreamEntrySettings): UpstreamConfig {
  const given = Object.fromEntries(
    Object.entries(entry).filter(([name, value]) => name !== 'enabled' && value !== undefined),
  );
  const url = entry.url ?? config.url;
  return {
    ...config,
    ...given,
    hosts: unique([...config.hosts, ...(entry.hosts ?? []), new URL(url).host]),
  };
}

function created(entry: UpstreamEntrySettings, url: string, values: Values): UpstreamConfig {
  const { hostname } = new URL(url);
  return merged(
    {
      ...UPSTREAM_DEFAULTS,
      project: hostname,
      url,
      hosts: [],
      tagTtlSeconds: values.MIRROR_TAG_TTL_SECONDS,
    },
    entry,
  );
}

/** What the docker.io entry cannot be told, or has been told twice. */
function hubProblem(
  config: UpstreamConfig,
  entry: UpstreamEntrySettings,
  sources: ReadonlyMap<VariableName, string>,
): string | undefined {
  if (config.project !== DOCKER_HUB_PROJECT) return undefined;
  if (entry.enabled === false) {
    return 'docker.io cannot be taken away, because a name without a host means it; deny: ["*"] refuses all of it';
  }
  if (entry.project !== undefined && entry.project !== DOCKER_HUB_PROJECT) {
    return `the project of docker.io is ${DOCKER_HUB_PROJECT}; give another registry hosts of its own`;
  }
  const urlSource = sources.get('UPSTREAM_URL');
  if (entry.url !== undefined && urlSource !== undefined) {
    return `url and ${urlSource} are both set; keep one`;
  }
  const accountSource = sources.get('UPSTREAM_USERNAME');
  if (entry.credentials && accountSource !== undefined) {
    return `credentials and ${accountSource} are both set; keep one`;
  }
  return undefined;
}

function entryProblems(config: UpstreamConfig): string[] {
  const { project, url, clientCertificateFile, clientKeyFile, credentials, insecure } = config;
  const problems: string[] = [];
  if (!parseRepositoryName(project)) {
    problems.push('project must be set, because the url does not begin with a host name');
  }
  if (project === LOCAL_PREFIX || project === OFFICIAL_PREFIX) {
    problems.push(`project ${project} has a meaning of its own`);
  }
  if ((clientCertificateFile === undefined) !== (clientKeyFile === undefined)) {
    problems.push('clientCertificateFile and clientKeyFile belong together');
  }
  const { protocol, hostname } = new URL(url);
  const isLoopback = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
  if (protocol === 'http:' && credentials.length > 0 && !insecure && !isLoopback) {
    problems.push('credentials would travel over plain http; use https, or say "insecure": true');
  }
  return problems;
}

/** A name that means two upstreams. */
function clashes(drafts: readonly Draft[], source: string): ConfigProblem[] {
  const owners = new Map<string, string>();
  const problems: ConfigProblem[] = [];
  for (const { config, entry } of drafts) {
    for (const word of unique([config.project, ...config.hosts])) {
      const owner = owners.get(word);
      if (owner === undefined) owners.set(word, entry ?? config.project);
      else {
        const message = `${entry ?? config.project}: ${word} is the name of ${owner} as well`;
        problems.push({ variable: source, message });
      }
    }
  }
  return problems;
}

const unique = (values: readonly string[]): string[] => [...new Set(values)];
