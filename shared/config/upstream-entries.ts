/** What UPSTREAMS may hold. Every message completes the sentence "UPSTREAMS …". */
import { parse } from 'yaml';
import { z } from 'zod';

import { nearestOf } from './edit-distance.ts';
import type { UpstreamCredential } from './upstream-config.ts';
import { HOST_WITH_PORT, proxyUrl, serverUrl } from './value-schemas.ts';

const YEAR_SECONDS = 366 * 24 * 3600;
const DEFAULT_HELPER_SECONDS = 3600;
/** A project's record is a file of its name; file systems take 255 bytes, endings included. */
const PROJECT = /^(?=.{1,240}$)[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const PLATFORM = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/;
const REPOSITORY_PATTERN = /^[a-z0-9._/*-]+$/;

const flag = z.boolean({ error: 'must be true or false' });
const filled = z
  .string({ error: 'must be a text' })
  .regex(/^\P{Cc}+$/u, 'must be a text without control characters');
const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) => {
  const error =
    maximum === Number.MAX_SAFE_INTEGER
      ? `must be a whole number of at least ${minimum}`
      : `must be a whole number from ${minimum} to ${maximum}`;
  return z.int({ error }).min(minimum, { error }).max(maximum, { error });
};
const seconds = whole(0, YEAR_SECONDS);
const listOf = (pattern: RegExp, what: string) =>
  z.array(z.string({ error: `must be ${what}` }).regex(pattern, `must be ${what}`), {
    error: 'must be a list',
  });
const hosts = listOf(HOST_WITH_PORT, 'a host or host:port').transform((values) =>
  values.map((value) => value.toLowerCase()),
);
const patterns = listOf(REPOSITORY_PATTERN, 'a pattern of repository names, like "team/*"');
const oneOf = <const Word extends string>(...words: readonly [Word, ...Word[]]) =>
  z.enum(words, { error: `must be ${words.join(' or ')}` });
const rate = { error: 'must be a number above 0' };
const command = z
  .union([filled.transform((line) => line.trim().split(/\s+/)), z.array(filled)], {
    error: 'must be a command, or a list of a program and its arguments',
  })
  .transform((words, context): readonly [string, ...string[]] => {
    const [program, ...rest] = words;
    if (program !== undefined && program !== '') return [program, ...rest];
    context.addIssue('must name a program');
    return z.NEVER;
  });

const credential = z
  .strictObject({
    username: filled.optional(),
    password: filled.optional(),
    passwordFile: filled.optional(),
    helper: command.optional(),
    lifetimeSeconds: whole(1, YEAR_SECONDS).optional(),
  })
  .transform((given, context): UpstreamCredential => {
    const { username, password, passwordFile, helper, lifetimeSeconds } = given;
    const count = [password, passwordFile, helper].filter((value) => value !== undefined).length;
    if (count === 1 && helper) {
      return {
        kind: 'helper',
        command: helper,
        username,
        lifetimeSeconds: lifetimeSeconds ?? DEFAULT_HELPER_SECONDS,
      };
    }
    if (count === 1 && username !== undefined && lifetimeSeconds === undefined) {
      if (password !== undefined) return { kind: 'password', username, password };
      if (passwordFile !== undefined) return { kind: 'file', username, passwordFile };
    }
    context.addIssue(
      'must have a username with a password or a passwordFile, or a helper (with a lifetimeSeconds)',
    );
    return z.NEVER;
  });

const entrySchema = z.strictObject(
  {
    project: z
      .string({ error: 'must be a text' })
      .regex(PROJECT, 'must be one part of a repository name: small letters, digits, . _ -')
      .optional(),
    url: serverUrl('http', 'https').optional(),
    hosts: hosts.optional(),
    enabled: flag.optional(),
    credentials: z.array(credential, { error: 'must be a list' }).optional(),
    authHosts: hosts.optional(),
    caFile: filled.optional(),
    clientCertificateFile: filled.optional(),
    clientKeyFile: filled.optional(),
    insecure: flag.optional(),
    proxyUrl: proxyUrl.optional(),
    allow: patterns.optional(),
    deny: patterns.optional(),
    tagTtlSeconds: seconds.optional(),
    maxStaleSeconds: seconds.optional(),
    onDeletedTag: oneOf('drop', 'keep').optional(),
    trusted: flag.optional(),
    private: oneOf('refuse', 'shared', 'pass-through').optional(),
    maxConnections: whole(1, 10_000).optional(),
    requestsPerSecond: z.number(rate).positive(rate).optional(),
    proofTtlSeconds: whole(60).optional(),
    cacheBytes: whole(0).optional(),
    prefetchPlatforms: listOf(PLATFORM, 'a platform like "linux/amd64"').optional(),
    completeBytes: whole(0).optional(),
  },
  { error: 'must be settings of an upstream, like {"url": "https://registry.example"}' },
);

/** An entry of UPSTREAMS: a new upstream, or what differs at a built-in one. */
export type UpstreamEntrySettings = z.output<typeof entrySchema>;

const ENTRY_KEYS = Object.keys(entrySchema.shape);
const CREDENTIAL_KEYS = ['username', 'password', 'passwordFile', 'helper', 'lifetimeSeconds'];

/** The list of entries in JSON or YAML. Messages name the entry and the setting, never its value. */
export const upstreamEntries = z
  .string()
  .transform((text, context): readonly UpstreamEntrySettings[] => {
    const document = readDocument(text);
    if (!Array.isArray(document)) {
      context.addIssue('must be a list of upstreams in JSON or YAML');
      return z.NEVER;
    }
    return document.flatMap((value: unknown, index) => {
      const parsed = entrySchema.safeParse(value);
      if (parsed.success) return parsed.data;
      const name = entryName(value, index);
      for (const issue of parsed.error.issues) context.addIssue(`${name}: ${issueText(issue)}`);
      return [];
    });
  });

/** How a message calls the entry at this place of the list. */
export function entryName(entry: unknown, index: number): string {
  const { project, url } =
    typeof entry === 'object' && entry !== null
      ? (entry as { project?: unknown; url?: unknown })
      : {};
  const words = [project, typeof url === 'string' ? URL.parse(url)?.host : undefined];
  const name = words.find((word): word is string => typeof word === 'string' && word !== '');
  return `entry ${index + 1}${name === undefined ? '' : ` (${name})`}`;
}

function readDocument(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

function issueText(issue: z.core.$ZodIssue): string {
  const path = issue.path.map((part, index) =>
    typeof part === 'number' ? `[${part + 1}]` : `${index > 0 ? '.' : ''}${String(part)}`,
  );
  const where = path.join('');
  if (issue.code !== 'unrecognized_keys')
    return where === '' ? issue.message : `${where} ${issue.message}`;
  const known = where === '' ? ENTRY_KEYS : CREDENTIAL_KEYS;
  const prefix = where === '' ? '' : `${where} `;
  return issue.keys.map((key) => `${prefix}${unknownSetting(key, known)}`).join(' ');
}

/** A broken list may have a value where a name should be. */
const unknownSetting = (key: string, known: readonly string[]): string =>
  /^[A-Za-z]{1,30}$/.test(key)
    ? `has no setting ${key}; did you mean ${nearestOf(key, known)}?`
    : `has a setting that is none; there are ${known.join(', ')}`;
