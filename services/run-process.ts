import { readFileSync } from 'node:fs';

import type { Mode } from '../shared/config/create-roles.ts';
import { loadConfig, type LoadedConfig } from '../shared/config/load-config.ts';
import { type Clock, systemClock } from '../shared/lifecycle/clock.ts';
import { armCrashPoint } from '../shared/lifecycle/crash-point.ts';
import { onStopSignals, runShutdown, type ShutdownPhase } from '../shared/lifecycle/shutdown.ts';
import { createLogger, type Logger } from '../shared/observability/logger.ts';
import { Metrics } from '../shared/observability/metrics.ts';
import { banner } from './banner.ts';
import { createPlatform, type OpenPlatform } from './create-platform.ts';
import type { ProcessHost } from './process-host.ts';
import { describeConfigProblems, describeStartFailure } from './start-problem.ts';
import { type RunningRole, startRole } from './start-role.ts';
import { VERSION } from './version.ts';

const ABORT_MS = 1000;
const CLOSE_MS = 5000;

/**
 * The whole life of the process: configuration, start, service until a signal, and an orderly end. Exits with 0 after
 * a signal and with 1 when it cannot start.
 */
export async function runProcess(host: ProcessHost, mode: Mode): Promise<void> {
  const result = loadConfig(host.env, { mode, readFile: (path) => readFileSync(path, 'utf8') });
  if (!result.isValid) {
    for (const warning of result.warnings) host.printError(`Warning: ${warning}`);
    host.printError(describeConfigProblems(result.problems));
    host.exit(1);
    return;
  }
  const { config, warnings } = result;
  const [first] = config.roles;
  if (first === undefined) return;
  const log = createLogger({ level: first.logLevel });
  for (const warning of warnings) log.warn({}, warning);
  if (first.crashPoint !== undefined) armCrashPoint(first.crashPoint);

  const stop = new AbortController();
  const removeListeners = onStopSignals(host.signals, systemClock, {
    stop: (signal) => {
      log.info({ signal }, 'stopping');
      stop.abort();
    },
    stopNow: (signal) => {
      log.warn({ signal }, 'stopping at once');
      host.exit(1);
    },
  });
  const code = await serve(config, { host, log, clock: systemClock, signal: stop.signal });
  removeListeners();
  host.exit(code);
}

interface ServeOptions {
  readonly host: ProcessHost;
  readonly log: Logger;
  readonly clock: Clock;
  /** Aborts when it is time to stop. */
  readonly signal: AbortSignal;
}

/** Starts the roles, serves until told to stop and closes everything; resolves with the exit code. */
async function serve(config: LoadedConfig, options: ServeOptions): Promise<number> {
  const { host, log, clock, signal } = options;
  const metrics = new Metrics({ version: VERSION });
  const roles: RunningRole[] = [];
  let opened: OpenPlatform | undefined;
  let code = 0;
  try {
    opened = createPlatform(config, { log, clock, observer: metrics.observer() });
    for (const role of config.roles) {
      roles.push(await startRole(role, { mode: config.mode, opened, metrics, log, signal }));
    }
    const [push, mirror] = roles;
    if (push && mirror) host.print(banner(VERSION, push, mirror));
    await aborted(signal);
  } catch (error) {
    if (!signal.aborted) {
      code = 1;
      host.printError(describeStartFailure(error));
      log.debug({ err: error }, 'the start failed');
    }
  }
  for (const role of roles) role.stopping();
  for (const { phase, error } of await shutDown(roles, opened, clock)) {
    log.warn({ err: error, phase }, 'not closed in order');
  }
  if (code === 0) log.info({}, 'stopped');
  return code;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Requests first, of all roles at once; then what runs behind them; then what they stood on. */
function shutDown(
  roles: readonly RunningRole[],
  opened: OpenPlatform | undefined,
  clock: Clock,
): ReturnType<typeof runShutdown> {
  const together = (name: string, phases: readonly ShutdownPhase[]): ShutdownPhase => ({
    name,
    capMs: Math.max(0, ...phases.map(({ capMs }) => capMs)),
    run: async (signal) => {
      await Promise.all(phases.map((phase) => phase.run(signal)));
    },
  });
  return runShutdown(
    [
      together('requests', roles.map(({ finishRequests }) => finishRequests)),
      { name: 'background work', capMs: ABORT_MS, run: () => opened?.abort() },
      together('roles', roles.map(({ closeRole }) => closeRole)),
      { name: 'store and index', capMs: CLOSE_MS, run: () => opened?.close() },
      together('metrics', roles.map(({ closeOps }) => closeOps)),
    ],
    clock,
  );
}
