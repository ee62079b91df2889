import type { Config } from '../../shared/config/config.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { OpenStores } from '../open-stores.ts';

/** What commands end with. */
export const EXIT = {
  /** Done, or nothing found. */
  fine: 0,
  /** Done; what was found needs a person. */
  found: 1,
  /** Not done: the command line, the configuration or the store does not allow it. */
  failed: 2,
} as const;

/** Everything that a command works with. */
export interface CommandContext {
  readonly config: Config;
  /** Nothing of it was written or waited for yet. */
  readonly stores: OpenStores;
  readonly log: Log;
  /** A line of the result. */
  readonly print: (line: string) => void;
  /** Aborts when the person gave up. */
  readonly signal: AbortSignal;
}

/** One thing that `twinport` does beside serving. */
export interface Command {
  /** As it is typed: one word or several. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `twinport help <command>` adds: what it does, when to use it, what its exit codes mean. */
  readonly help: string;
  /** Resolves with the exit code. What it throws is told and ends with EXIT.failed. */
  run(context: CommandContext): Promise<number>;
}

/** Why a command cannot do its work, as a sentence that says what to do. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
