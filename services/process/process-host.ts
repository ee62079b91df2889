import type { Environment } from '../../shared/config/environment.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { SignalSource } from '../../shared/lifecycle/shutdown.ts';
import type { Logger } from '../../shared/observability/logger.ts';

/** The process as the program sees it; the real one is handed in by main.ts and start.ts alone. */
export interface ProcessHost {
  readonly env: Environment;
  /** Takes variables out of the environment: what this process starts does not get them. */
  forget(names: readonly string[]): void;
  readonly signals: SignalSource;
  /** Standard output. */
  print(text: string): void;
  /** Standard error. */
  printError(text: string): void;
  exit(code: number): void;
  /** Processors that this process may use, as the machine and its limits say. */
  readonly cores: number;
}

/** What a program serves with, once its configuration is known to be right. */
export interface ServeOptions {
  readonly host: ProcessHost;
  readonly log: Logger;
  readonly clock: Clock;
  /** Aborts when it is time to stop. */
  readonly signal: AbortSignal;
}
