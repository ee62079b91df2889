import type { Config } from '../../shared/config/config.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { AuditEvent } from '../../shared/observability/audit-log.ts';
import type { OpenStores } from '../stores/opened-stores.ts';

/** What commands end with. */
export const EXIT = {
  /** Done, or nothing found. */
  fine: 0,
  /** Done; what was found needs a person. */
  found: 1,
  /** Not done: the command line, the configuration or the store does not allow it. */
  failed: 2,
} as const;

/** What every command has. */
export interface CallContext {
  /** What stands after the command's name; empty where it takes nothing. */
  readonly args: readonly string[];
  /** All of a file, or of standard input for `-`. */
  readonly readFile: (path: string) => string;
  /** A line of the result. */
  readonly print: (line: string) => void;
  /** A line beside the result, for a person. */
  readonly printError: (line: string) => void;
  /** Aborts when the person gave up. */
  readonly signal: AbortSignal;
}

/** What a command has that works on the store of the environment. */
export interface CommandContext extends CallContext {
  readonly config: Config;
  /** Nothing of it was written or waited for yet. */
  readonly stores: OpenStores;
  readonly log: Log;
}

interface CommandBase {
  /** As it is typed: one word or several. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What follows the name, for its usage line; without it the command takes no arguments. */
  readonly usage?: string;
  /** What `twinport help <command>` adds: what it does, when to use it, what its exit codes mean. */
  readonly help: string;
}

/** Works on the store that the environment names. */
export interface StoreCommand extends CommandBase {
  readonly worksOn?: 'store';
  /** What is put down of a call in the record of who did what; without it, or undefined: nothing. */
  readonly audits?: (args: readonly string[]) => AuditEvent['action'] | undefined;
  /** Resolves with the exit code. What it throws is told and ends with EXIT.failed. */
  run(context: CommandContext): Promise<number>;
}

/** Asks a running server; the environment means nothing to it. */
export interface ServerCommand extends CommandBase {
  readonly worksOn: 'server';
  run(context: CallContext): Promise<number>;
}

export const changesRight = () => 'change-right' as const;
export const makesSecret = () => 'make-secret' as const;
export const revokesSecret = () => 'revoke-secret' as const;

/** One thing that `twinport` does beside serving. */
export type Command = StoreCommand | ServerCommand;

/** Why a command cannot do its work, as a sentence that says what to do. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
