import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';

import type { Log } from './observer.ts';

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Standard output unless given. */
  readonly destination?: DestinationStream;
}

/** A Log whose lines can be tagged. */
export interface Logger extends Log {
  /** The same log with fields on every line. */
  with(fields: Record<string, unknown>): Logger;
}

const SECRET_FIELDS = [
  'authorization',
  'Authorization',
  'cookie',
  'password',
  'secret',
  'secretAccessKey',
  'token',
];

/** How far an error's chain of causes is told. */
const MAX_CAUSES = 5;

/**
 * JSON lines on standard output. Lines are written at once and not gathered: what a process said before it died is
 * what one wants to read. Fields with the names of secrets are hidden, and errors lose the credentials and signatures
 * of the addresses in their messages.
 */
export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    level: options.level,
    base: null,
    messageKey: 'message',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: '***',
    },
    serializers: { error: describeError, err: describeError, cause: describeError },
  };
  return tagged(options.destination ? pino(settings, options.destination) : pino(settings));
}

const tagged = (writer: PinoLogger): Logger => ({
  info: (fields, message) => writer.info(fields, message),
  warn: (fields, message) => writer.warn(fields, message),
  error: (fields, message) => writer.error(fields, message),
  debug: (fields, message) => writer.debug(fields, message),
  with: (fields) => tagged(writer.child(fields)),
});

/** Name, message, stack and causes alone: other fields of errors of libraries hold whole requests. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? withoutSecrets(error) : error;
  const { code, operation } = error as { code?: unknown; operation?: unknown };
  return {
    name: error.name,
    message: withoutSecrets(error.message),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof operation === 'string' ? { operation } : {}),
    ...(error.stack === undefined ? {} : { stack: withoutSecrets(error.stack) }),
    ...(error.cause === undefined || depth >= MAX_CAUSES
      ? {}
      : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** Text without the credentials of URLs and without their queries, which may be signatures. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, '$1***@')
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s?#"'<>]*)\?[^\s"'<>]*/gi, '$1?***');
}
