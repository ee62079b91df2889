/**
 * Every variable of the environment that this program reads, in one table: the parser, the warnings about misspelt
 * names and the table in docs/configuration.md are made from it.
 */
import type { z } from 'zod';

import { AUTH_VARIABLES } from './auth-variables.ts';
import { CACHE_VARIABLES } from './cache-variables.ts';
import { INTERNAL_VARIABLES } from './internal-variables.ts';
import {
  hostList,
  keyPrefix,
  list,
  listenHost,
  port,
  proxyUrl,
  redisUrl,
  serverUrl,
  strictBoolean,
  text,
  warmSchedule,
  wholeNumber,
  word,
  workerCount,
} from './value-schemas.ts';
import { upstreamEntries } from './upstream-entries.ts';
import type { Variable } from './variable.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const YEAR_SECONDS = 366 * 24 * 3600;

const VARIABLES = {
  RUN_AS_MIRROR: {
    reader: 'both',
    description:
      'The role: `true` is the mirror, `false` the push service. Only `true`, `false`, `1` and `0` are understood.',
    schema: strictBoolean,
    fallbackNote: '`false`; under `npm start` both roles',
  },
  PUSH_PORT: {
    reader: 'npm start',
    description: 'Port of the push service while `npm start` runs both roles.',
    schema: port,
    fallbackNote: '`HTTP_PORT`, else `5000`',
  },
  MIRROR_PORT: {
    reader: 'npm start',
    description: 'Port of the mirror while `npm start` runs both roles.',
    schema: port,
    fallback: '5001',
  },
  HTTP_HOST: {
    reader: 'both',
    description: 'Address to listen on, for the registry and for metrics.',
    schema: listenHost,
    fallbackNote: '`0.0.0.0`; under `npm start` `127.0.0.1`',
  },
  HTTP_PORT: {
    reader: 'both',
    description: 'Port of the registry API.',
    schema: port,
    fallbackNote: '`5000`, mirror `5001`',
  },
  HTTP_TLS_CERTIFICATE: {
    reader: 'both',
    description:
      'PEM file with the certificate and its chain. With `HTTP_TLS_KEY`; both are read again when they change.',
    schema: text,
  },
  HTTP_TLS_KEY: {
    reader: 'both',
    description: 'PEM file with the private key of the certificate.',
    schema: text,
  },
  HTTP_IDLE_TIMEOUT_SECONDS: {
    reader: 'both',
    description:
      'A connection on which nothing moves for this long is closed. A long upload that moves is never cut off.',
    schema: wholeNumber(1, 24 * 3600),
    fallback: '300',
  },
  METRICS_PORT: {
    reader: 'both',
    description:
      'Port of `/metrics`, `/livez` and `/readyz`. While `npm start` runs both roles, the mirror takes the next one.',
    schema: port,
    fallbackNote: '`9090`, mirror `9091`',
  },
  STORAGE: {
    reader: 'both',
    description: 'Where everything is kept: `filesystem` or `s3`.',
    schema: word('filesystem', 's3'),
    fallbackNote: '`s3` when `S3_BUCKET` is set, else `filesystem`',
  },
  DATA_DIR: {
    reader: 'both',
    description: 'Root folder of the store with `STORAGE=filesystem`.',
    schema: text,
    fallback: './data',
  },
  S3_ENDPOINT: {
    reader: 'both',
    description: 'URL of the S3 server.',
    schema: serverUrl('http', 'https'),
    fallbackNote: 'AWS',
  },
  S3_REGION: {
    reader: 'both',
    description: 'Region of the bucket.',
    schema: text,
    fallback: 'us-east-1',
  },
  S3_BUCKET: { reader: 'both', description: 'Name of the bucket.', schema: text },
  S3_PREFIX: {
    reader: 'both',
    description: 'Folder in the bucket under which every key is kept.',
    schema: keyPrefix,
    fallback: '',
  },
  S3_FORCE_PATH_STYLE: {
    reader: 'both',
    description: 'The bucket in the path of requests (`true`) or in the host name (`false`).',
    schema: strictBoolean,
    fallbackNote: '`true` when `S3_ENDPOINT` is set, else `false`',
  },
  S3_ACCESS_KEY_ID: {
    reader: 'both',
    description: 'Access key of the bucket, with `S3_SECRET_ACCESS_KEY`.',
    schema: text,
    fallbackNote: "the AWS SDK's default chain (environment, profile, web identity, instance)",
    isSecret: true,
  },
  S3_SECRET_ACCESS_KEY: {
    reader: 'both',
    description: 'Secret key of the bucket.',
    schema: text,
    isSecret: true,
  },
  S3_PART_BYTES: {
    reader: 'both',
    description:
      'Size of the parts of a multipart upload; they grow where a blob would need more than 10,000. Each running upload holds one in memory, and those that are being sent.',
    schema: wholeNumber(5 * MIB, 5 * GIB),
    fallback: String(8 * MIB),
  },
  S3_PARTS_IN_FLIGHT: {
    reader: 'both',
    description:
      'How many parts one process sends at once, of all its uploads; of one upload they are two at most. Further uploads wait for their turn.',
    schema: wholeNumber(1, 1024),
    fallback: '4',
  },
  S3_MULTIPART_COPY_BYTES: {
    reader: 'both',
    description: 'Objects larger than this are copied in parts.',
    schema: wholeNumber(5 * MIB, 5 * GIB),
    fallback: String(GIB),
  },
  S3_MAX_PULLS: {
    reader: 'both',
    description:
      'How many blobs one process reads from the bucket at once for its clients, each over a connection of its own. Further ones are answered 503 with `Retry-After`; everything else has connections apart.',
    schema: wholeNumber(1, 65_535),
    fallback: '1024',
  },
  S3_REDIRECT_PULLS: {
    reader: 'both',
    description:
      'Whether a client that asks for a blob is sent to the bucket by a presigned URL (307) instead of getting the bytes from here. Clients must be able to reach the bucket. Manifests and `HEAD` are always answered here.',
    schema: strictBoolean,
    fallback: 'false',
  },
  S3_PUBLIC_ENDPOINT: {
    reader: 'both',
    description: 'URL of the S3 server as clients reach it, for `S3_REDIRECT_PULLS`.',
    schema: serverUrl('http', 'https'),
    fallbackNote: '`S3_ENDPOINT`',
  },
  S3_REDIRECT_SECONDS: {
    reader: 'both',
    description:
      'How long a presigned URL is good for. A download that has begun goes on; one that broke off asks here again.',
    schema: wholeNumber(10, 7 * 24 * 3600),
    fallback: '300',
  },
  REDIS_URL: {
    reader: 'both',
    description:
      'Redis that all replicas share: `redis://[user:password@]host:port[/database]`, or `rediss://`.',
    schema: redisUrl,
    fallbackNote: 'no Redis',
    isSecret: true,
  },
  INDEX_TRUST_SECONDS: {
    reader: 'both',
    description:
      'After at most this long a replica learns of changes that a writer made while it could not reach Redis.',
    schema: wholeNumber(1, 3600),
    fallback: '5',
  },
  REDIS_TIMEOUT_MS: {
    reader: 'both',
    description:
      'How long one command of Redis may take. What Redis does not answer by then is done without it: the store is asked, and a change is left in the store for the other replicas to find.',
    schema: wholeNumber(5, 10_000),
    fallback: '50',
  },
  MEMORY_CACHE_BYTES: {
    reader: 'both',
    description:
      'What each process may keep in memory of manifests and of blobs up to 64 KiB, half for each. They never change under their digest; whether a client may read them is looked up every time.',
    schema: wholeNumber(0),
    fallback: String(96 * MIB),
  },
  UPSTREAM_URL: {
    reader: 'both',
    description:
      'The registry behind the mirror, in place of Docker Hub. The push service reserves its name.',
    schema: serverUrl('http', 'https'),
    fallback: 'https://registry-1.docker.io',
  },
  UPSTREAM_USERNAME: {
    reader: 'mirror',
    description: 'User name at the upstream, with `UPSTREAM_PASSWORD`.',
    schema: text,
    fallbackNote: 'anonymous',
    isSecret: true,
  },
  UPSTREAM_PASSWORD: {
    reader: 'mirror',
    description: 'Password or access token at the upstream.',
    schema: text,
    isSecret: true,
  },
  UPSTREAMS: {
    reader: 'both',
    description:
      'The registries behind the mirror besides the built-in ones, and what differs at those: a list in JSON or YAML (see below). The push service reserves their names.',
    schema: upstreamEntries,
    fallback: '[]',
    fallbackNote:
      'docker.io, ghcr.io, quay.io, registry.k8s.io, gcr.io, public.ecr.aws and mcr.microsoft.com are built in',
    isSecret: true,
  },
  HTTPS_PROXY: {
    reader: 'mirror',
    description:
      'The HTTP proxy on the way to upstreams with https, where `UPSTREAMS` names none. Like the next two it may be written in small letters.',
    schema: proxyUrl,
    fallbackNote: '`HTTP_PROXY`',
  },
  HTTP_PROXY: {
    reader: 'mirror',
    description: 'The HTTP proxy on the way to upstreams with plain http.',
    schema: proxyUrl,
  },
  NO_PROXY: {
    reader: 'mirror',
    description: 'Hosts that are reached without a proxy, separated by commas.',
    schema: text,
  },
  MIRROR_TAG_TTL_SECONDS: {
    reader: 'mirror',
    description:
      'A cached tag is compared with its upstream again after this long, where `UPSTREAMS` does not say otherwise.',
    schema: wholeNumber(0, YEAR_SECONDS),
    fallback: '60',
  },
  MIRROR_LOCAL_PROJECTS: {
    reader: 'mirror',
    description:
      'Patterns (`*` matches anything) of the pushed projects that the mirror serves under their plain name. Any other is reached as `local/<name>`.',
    schema: list(
      /^[a-z0-9._*-]+$/,
      'must be a list of project names, with * for any part, separated by commas',
    ),
    fallbackNote: 'all',
  },
  ...CACHE_VARIABLES,
  SPOOL_DIR: {
    reader: 'mirror',
    description: 'Folder for what is on its way from the upstream into the store.',
    schema: text,
    fallbackNote: "a folder per process under the system's temporary folder",
  },
  SPOOL_MAX_BYTES: {
    reader: 'mirror',
    description: 'The spool never grows beyond this.',
    schema: wholeNumber(0),
    fallback: String(10 * GIB),
  },
  ...INTERNAL_VARIABLES,
  WARM_FILE: {
    reader: 'mirror',
    description:
      'A file of references, one a line (`#` begins a comment), that the mirror pulls by itself so that it holds them. Read again each time.',
    schema: text,
  },
  WARM_SCHEDULE: {
    reader: 'mirror',
    description:
      'When the images of `WARM_FILE` are pulled, by one of the replicas: an interval (`30m`, `6h`, `1d`; also at the start), or five fields as cron has them, in UTC (`0 3 * * *`).',
    schema: warmSchedule,
    fallback: '6h',
  },
  WARM_PLATFORMS: {
    reader: 'mirror',
    description:
      'Platforms of the images of `WARM_FILE` that are pulled, for example `linux/amd64`.',
    schema: list(
      /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/,
      'must be a list of platforms like linux/amd64, separated by commas',
    ),
    fallbackNote: 'all',
  },
  PUSH_PUBLIC_URL: {
    reader: 'both',
    description:
      'URL under which clients reach the push service; the mirror names it when it refuses a push.',
    schema: serverUrl('http', 'https'),
    fallbackNote: 'under `npm start` the push port on this machine',
  },
  PUBLIC_HOSTS: {
    reader: 'both',
    description:
      'Every `host` or `host:port` under which clients know this registry, separated by commas: they mean local content in the `ns` parameter of a mirror request. The host of `PUSH_PUBLIC_URL` is always among them, and under `npm start` localhost and 127.0.0.1 with both ports.',
    schema: hostList,
  },
  ...AUTH_VARIABLES,
  DELETE_ENABLED: {
    reader: 'push',
    description: 'Whether tags, manifests and blobs can be deleted through the API.',
    schema: strictBoolean,
    fallback: 'true',
  },
  RESERVE_DOTTED: {
    reader: 'push',
    description:
      'Whether names whose first segment has a dot, like a registry host, are refused for new projects.',
    schema: strictBoolean,
    fallback: 'true',
  },
  MANIFEST_REFERENCES: {
    reader: 'push',
    description:
      '`require`: a manifest is accepted when everything that it names is there. `allow-missing`: in any case.',
    schema: word('require', 'allow-missing'),
    fallback: 'require',
  },
  UPLOAD_TTL_SECONDS: {
    reader: 'push',
    description: 'Uploads that were begun and not finished are removed after this long.',
    schema: wholeNumber(1, YEAR_SECONDS),
    fallback: String(7 * 24 * 3600),
  },
  WORKERS: {
    reader: 'both',
    description:
      'Processes that serve together on one machine, on the same ports: a number, or `auto` for one per core that the program may use.',
    schema: workerCount,
    fallback: '1',
  },
  SHUTDOWN_GRACE_SECONDS: {
    reader: 'both',
    description: 'How long running requests may take to finish after SIGTERM or SIGINT.',
    schema: wholeNumber(0, 3600),
    fallback: '20',
  },
  LOG_LEVEL: {
    reader: 'both',
    description: '`debug`, `info`, `warn` or `error`.',
    schema: word('debug', 'info', 'warn', 'error'),
    fallback: 'info',
  },
  AUDIT_LOG: {
    reader: 'both',
    description:
      'File to which a line of JSON is added for every push, delete and sign-in: who, what, from where, with what result ([auth-sources.md](auth-sources.md)). `stdout` writes them among the other lines.',
    schema: text,
    fallbackNote: 'no record',
  },
  TWINPORT_CRASH_POINT: {
    reader: 'both',
    description: 'Tests only: the process kills itself at this named point.',
    schema: text,
  },
  TWINPORT_REMOVAL_HASTE: {
    reader: 'both',
    description:
      'Tests only: by how much the waits are shortened after which unused bytes are removed. The same for all processes.',
    schema: wholeNumber(1, 1000),
    fallback: '1',
  },
} as const satisfies Record<string, Variable>;

export type VariableName = keyof typeof VARIABLES;

export const VARIABLE_NAMES = Object.keys(VARIABLES) as VariableName[];

/** The table's rows without their exact types, for code that walks over all of them. */
export const variable = (name: VariableName): Variable => VARIABLES[name];

type Parsed<Row extends Variable> = z.output<Row['schema']>;

/** What was read: a value where there is a default, else a value or undefined. */
export type Values = {
  readonly [Name in VariableName]: (typeof VARIABLES)[Name] extends { readonly fallback: string }
    ? Parsed<(typeof VARIABLES)[Name]>
    : Parsed<(typeof VARIABLES)[Name]> | undefined;
};
