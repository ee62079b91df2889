import type { Environment } from '../shared/config/environment.ts';
import type { SignalSource } from '../shared/lifecycle/shutdown.ts';

/** The process as the program sees it; the real one is handed in by main.ts and start.ts alone. */
export interface ProcessHost {
  readonly env: Environment;
  readonly signals: SignalSource;
  /** Standard output. */
  print(text: string): void;
  /** Standard error. */
  printError(text: string): void;
  exit(code: number): void;
}
