import type { Mode } from '../../shared/config/create-roles.ts';
import type { ConfigProblem } from '../../shared/config/environment.ts';
import { describeReason } from '../../shared/observability/describe-reason.ts';
import type { Role } from '../../shared/observability/observer.ts';

/** Everything that is wrong with the configuration, one line each. */
export function describeConfigProblems(
  problems: readonly ConfigProblem[],
  program = 'Twinport',
): string {
  const count = problems.length === 1 ? 'is a problem' : `are ${problems.length} problems`;
  const lines = problems.map(({ variable, message }) => `  ${variable} ${message}`);
  return [`${program} does not start: there ${count} in its configuration.`, ...lines].join('\n');
}

/** What a person reads when the start failed. */
export const describeStartFailure = (error: unknown): string =>
  `Twinport does not start: ${describeReason(error)}`;

/** The system's word for a port that cannot be had. */
const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is already taken by another program',
  EACCES: 'needs rights that this process does not have',
};

const HOST_REASONS: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'is not an address of this machine',
  ENOTFOUND: 'is not a known host name',
  EAI_AGAIN: 'is not a known host name',
};

/** The system's error, when it means that somebody else has the port. */
export const isPortTaken = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException).code === 'EADDRINUSE';

/** Puts the name of the variable to the system's refusal to listen; any other error stays as it is. */
export function listenProblem(
  error: unknown,
  host: string,
  port: number,
  variable: string,
): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const hostReason = HOST_REASONS[code];
  if (hostReason !== undefined) return new Error(`HTTP_HOST ${host} ${hostReason}`);
  const reason = LISTEN_REASONS[code];
  if (reason === undefined) return error;
  return new Error(`port ${port} on ${host} ${reason}; set ${variable} to another port`);
}

/** Which variable a person sets to move a role to another port. */
export function portVariable(mode: Mode, role: Role): string {
  if (mode === 'serve') return 'HTTP_PORT';
  return role === 'push' ? 'PUSH_PORT' : 'MIRROR_PORT';
}
