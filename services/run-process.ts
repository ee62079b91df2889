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
import { openStores, type OpenStores } from './open-stores.ts';
import type { ProcessHost } from './process-host.ts';
import { describeConfigProblems, describeStartFailure } from './start-problem.ts';
import { type RoleOps, startRoleOps } from './start-role-ops.ts';
import { type RunningRole, startRole } from './start-role.ts';
import { VERSION } from './version.ts';

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

/** What has been opened so far, so that it can be closed however far the start came. */
interface Opened {
  readonly stores: OpenStores;
  readonly ops: RoleOps[];
  platform?: OpenPlatform;
  readonly roles: RunningRole[];
}

/** Starts the roles, serves until told to stop and closes everything; resolves with the exit code. */
async function serve(config: LoadedConfig, options: ServeOptions): Promise<number> {
  const { host, log, clock, signal } = options;
  const stores = openStores(config.roles[0].storage, { clock, log });
  const opened: Opened = { stores, ops: [], roles: [] };
  let code = 0;
  try {
    // A start that cannot be stopped midway is left behind: the process ends.
    await Promise.race([start(config, options, opened), aborted(signal)]);
    signal.throwIfAborted();
    const [push, mirror] = opened.roles;
    if (push && mirror) host.print(banner(VERSION, push, mirror));
    await aborted(signal);
  } catch (error) {
    if (!signal.aborted) {
      code = 1;
      host.printError(describeStartFailure(error));
      log.debug({ err: error }, 'the start failed');
    }
  }
  for (const { health } of opened.ops) health.stopping();
  for (const { phase, error } of await runShutdown(shutdownPhases(opened), clock)) {
    log.warn({ err: error, phase }, 'not closed in order');
  }
  if (code === 0) log.info({}, 'stopped');
  return code;
}

async function start(config: LoadedConfig, options: ServeOptions, opened: Opened): Promise<void> {
  const { clock, log, signal } = options;
  const { stores } = opened;
  const { mode } = config;
  const metrics = new Metrics({ version: VERSION });
  for (const role of config.roles) {
    const { records } = stores;
    opened.ops.push(await startRoleOps(role, { mode, records, metrics, clock, log }));
  }
  const observer = metrics.observer();
  const platform = await createPlatform(config.roles[0], { stores, clock, log, observer, signal });
  opened.platform = platform;
  for (const ops of opened.ops) {
    opened.roles.push(await startRole(ops, { mode, opened: platform, signal }));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * Requests first, of all roles at once; then what runs behind them; then what they stood on. Health and metrics are
 * there to the end.
 */
function shutdownPhases({ stores, ops, platform, roles }: Opened): ShutdownPhase[] {
  return [
    together(
      'requests',
      roles.map(({ finishRequests }) => finishRequests),
    ),
    together(
      'roles',
      roles.map(({ closeRole }) => closeRole),
    ),
    {
      name: 'index and store',
      capMs: CLOSE_MS,
      run: async () => {
        platform?.abort();
        await platform?.close();
        stores.close();
      },
    },
    {
      name: 'health and metrics',
      capMs: CLOSE_MS,
      run: async () => {
        await Promise.all(ops.map(({ server }) => server.close()));
      },
    },
  ];
}

function together(name: string, phases: readonly ShutdownPhase[]): ShutdownPhase {
  return {
    name,
    capMs: Math.max(0, ...phases.map(({ capMs }) => capMs)),
    run: async (signal) => {
      await Promise.all(phases.map(async (phase) => await phase.run(signal)));
    },
  };
}
