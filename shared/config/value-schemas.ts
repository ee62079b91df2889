/** What a value of the environment must look like. Every message completes the sentence "NAME …". */
import { Cron } from 'croner';
import { z } from 'zod';

import type { WarmSchedule } from './warm-schedule.ts';

/** A value that `parse` understands; anything else (undefined) is told with the message. */
function understood<Value>(message: string, parse: (input: string) => Value | undefined) {
  return z.string().transform((input, context) => {
    const value = parse(input);
    if (value !== undefined) return value;
    context.addIssue(message);
    return z.NEVER;
  });
}

/** JavaScript's idea of truth never decides: `RUN_AS_MIRROR=false` is false, `yes` is a mistake. */
export const strictBoolean = z
  .enum(['true', 'false', '1', '0'], { error: 'must be true, false, 1 or 0' })
  .transform((input) => input === 'true' || input === '1');

/** A whole number in decimal digits, both bounds included. */
export function wholeNumber(minimum: number, maximum = Number.MAX_SAFE_INTEGER) {
  const bounds =
    maximum === Number.MAX_SAFE_INTEGER
      ? `of at least ${minimum}`
      : `from ${minimum} to ${maximum}`;
  return understood(`must be a whole number ${bounds}`, (input) => {
    const value = /^\d{1,15}$/.test(input) ? Number(input) : NaN;
    return value >= minimum && value <= maximum ? value : undefined;
  });
}

/** More processes than any machine has cores for. */
const MAX_WORKERS = 256;

export const workerCount = understood(
  `must be auto or a whole number from 1 to ${MAX_WORKERS}`,
  (input) => {
    if (input.toLowerCase() === 'auto') return 'auto';
    const value = /^\d{1,3}$/.test(input) ? Number(input) : NaN;
    return value >= 1 && value <= MAX_WORKERS ? value : undefined;
  },
);

/** 0 lets the system choose a free port. */
export const port = wholeNumber(0, 65_535);

/** One of the words, in any case. */
export function word<const Word extends string>(...words: Word[]) {
  const message = `must be ${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
  return understood(message, (input) => words.find((known) => known === input.toLowerCase()));
}

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90m`, `6h`, `1d`, or what cron writes. */
export const warmSchedule = understood(
  'must be an interval like 30m, 6h or 1d, or five fields as cron has them, like "0 3 * * *"',
  (input): WarmSchedule | undefined => {
    const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(input) ?? [];
    const ms = Number(count) * (UNIT_MS[unit] ?? 0);
    if (ms > 0) return { kind: 'interval', ms };
    try {
      const next = new Cron(input, { paused: true }).nextRun();
      return next && /\s/.test(input) ? { kind: 'cron', pattern: input } : undefined;
    } catch {
      return undefined;
    }
  },
);

/** Any text without control characters. */
export const text = z.string().regex(/^\P{Cc}+$/u, 'must not contain control characters');

/** A host name or an address to listen on, without scheme and port. */
export const listenHost = z
  .string()
  .regex(
    /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/,
    'must be a host name or an address, without scheme and port',
  );

/**
 * An address of a server: scheme, host and port alone. The result has no slash at its end. Credentials are refused,
 * because addresses appear in logs and messages.
 */
export function serverUrl(...schemes: string[]) {
  const example = schemes.map((scheme) => `${scheme}://`).join(' or ');
  return z.string({ error: 'must be a URL' }).transform((input, context) => {
    const url = URL.parse(input);
    const problem = !url?.hostname
      ? `must be a URL that begins with ${example}`
      : serverUrlProblem(url, schemes);
    if (url && problem === undefined) return `${url.protocol}//${url.host}`;
    context.addIssue(problem ?? 'must be a URL');
    return z.NEVER;
  });
}

function serverUrlProblem(url: URL, schemes: readonly string[]): string | undefined {
  if (!schemes.includes(url.protocol.slice(0, -1))) {
    return `must begin with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
  }
  if (url.username !== '' || url.password !== '') {
    return 'must not contain a user name or password; they have variables of their own';
  }
  if (url.search !== '' || url.hash !== '') return 'must not contain a query or fragment';
  if (url.pathname !== '/' && url.pathname !== '') return 'must not contain a path';
  return undefined;
}

/** Where a proxy listens, with an account for it if it wants one; http where no scheme is named, as curl has it. */
export const proxyUrl = understood(
  'must be a URL that begins with http:// or https://',
  (input) => {
    const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(input) ? input : `http://${input}`);
    return url && /^https?:$/.test(url.protocol) && url.hostname !== '' ? url.href : undefined;
  },
);

/** redis:// or rediss:// with anything else that such an address may hold, credentials included. */
export const redisUrl = z.string().refine(
  (input) => {
    const url = URL.parse(input);
    return url !== null && ['redis:', 'rediss:'].includes(url.protocol) && url.hostname !== '';
  },
  { error: 'must be a URL that begins with redis:// or rediss://' },
);

/** Entries separated by commas or white space, each of which must match. */
export function list(pattern: RegExp, message: string) {
  return understood(message, (input): readonly string[] | undefined => {
    const entries = input.split(/[,\s]+/).filter((entry) => entry !== '');
    return entries.every((entry) => pattern.test(entry)) ? entries : undefined;
  });
}

/** `host` or `host:port`. */
export const HOST_WITH_PORT =
  /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

export const hostList = list(
  HOST_WITH_PORT,
  'must be a list of host or host:port, separated by commas',
);

const isKeySegment = (segment: string): boolean =>
  /^[A-Za-z0-9._-]+$/.test(segment) && segment !== '.' && segment !== '..';

/** A folder of keys in a bucket; slashes at its ends are dropped. */
export const keyPrefix = understood(
  'must be path segments of letters, digits, dots, underscores and dashes',
  (input) => {
    const prefix = input.replace(/^\/+|\/+$/g, '');
    return prefix === '' || prefix.split('/').every(isKeySegment) ? prefix : undefined;
  },
);
