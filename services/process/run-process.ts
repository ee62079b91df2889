import { readFileSync } from 'node:fs';

import type { Mode } from '../../shared/config/create-roles.ts';
import { loadConfig, type LoadedConfig } from '../../shared/config/load-config.ts';
import { secretNames } from '../../shared/config/secret-names.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { onStopSignals } from '../../shared/lifecycle/shutdown.ts';
import { createLogger } from '../../shared/observability/logger.ts';
import type { ProcessHost, ServeOptions } from './process-host.ts';
import { describeConfigProblems } from './start-problem.ts';
import { warnOfOpenAccess } from './warn-of-open-access.ts';

/**
 * The whole life of the program: configuration, start, service until a signal, and an orderly end. Exits with 0 after
 * a signal and with 1 when it cannot start or go on.
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
  // They were read: helpers that know the accounts of upstreams, and workers, are told what they need.
  host.forget(secretNames(Object.keys(host.env)));
  const [first] = config.roles;
  const log = createLogger({ level: first.logLevel });
  for (const warning of warnings) log.warn({}, warning);
  warnOfOpenAccess(first, log);

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
  const options = { host, log, clock: systemClock, signal: stop.signal };
  const workers = first.workers === 'auto' ? host.cores : first.workers;
  const code = await serve(config, workers, options);
  removeListeners();
  host.exit(code);
}

/** Loads what is needed alone: the process that starts workers serves nothing itself. */
async function serve(
  config: LoadedConfig,
  workers: number,
  options: ServeOptions,
): Promise<number> {
  if (workers === 1) {
    const { serveAlone } = await import('./serve-alone.ts');
    return await serveAlone(config, options);
  }
  const { serveWithWorkers } = await import('../cluster/serve-with-workers.ts');
  return await serveWithWorkers(config, workers, options);
}
