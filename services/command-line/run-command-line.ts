import { editDistance } from '../../shared/config/edit-distance.ts';
import { loadConfig } from '../../shared/config/load-config.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { onStopSignals } from '../../shared/lifecycle/shutdown.ts';
import { describeReason } from '../../shared/observability/describe-reason.ts';
import type { Log } from '../../shared/observability/observer.ts';
import type { AuditEvent } from '../../shared/observability/audit-log.ts';
import { openAudit } from '../platform/open-audit.ts';
import { openStores } from '../stores/open-stores.ts';
import type { ProcessHost } from '../process/process-host.ts';
import { describeConfigProblems } from '../process/start-problem.ts';
import { VERSION } from '../version.ts';
import { type CallContext, type Command, EXIT, type StoreCommand } from './command.ts';

export interface CommandLineHost extends Omit<ProcessHost, 'cores' | 'forget'> {
  /** What stands after the program's name. */
  readonly args: readonly string[];
  readonly readFile: (path: string) => string;
}

/** A command further away than this from what was typed is another one. */
const NEAR = 4;

/** Runs one of the commands, as the arguments say, with the configuration of the environment; ends with its exit code. */
export async function runCommandLine(
  host: CommandLineHost,
  commands: readonly Command[],
): Promise<void> {
  host.exit(await codeOf(host, commands));
}

async function codeOf(host: CommandLineHost, commands: readonly Command[]): Promise<number> {
  const [first, ...rest] = host.args;
  if (first === 'version' || first === '--version') {
    host.print(`twinport ${VERSION}`);
    return EXIT.fine;
  }
  const wantsHelp = first === 'help' || host.args.includes('--help') || host.args.includes('-h');
  const words = (first === 'help' ? rest : host.args).filter(
    (word) => !/^(?:--help|-h)$/.test(word),
  );
  if (words.length === 0) {
    if (wantsHelp) host.print(overview(commands));
    else host.printError(overview(commands));
    return wantsHelp ? EXIT.fine : EXIT.failed;
  }
  const command = commands
    .filter(({ name }) => `${words.join(' ')} `.startsWith(`${name} `))
    .sort((a, b) => b.name.length - a.name.length)[0];
  const args = command ? words.slice(command.name.split(' ').length) : [];
  if (!command || (args.length > 0 && command.usage === undefined && !wantsHelp)) {
    host.printError(unknownCommand(words.join(' '), commands));
    return EXIT.failed;
  }
  if (wantsHelp) {
    host.print(helpOf(command));
    return EXIT.fine;
  }
  return await execute(host, command, args);
}

function helpOf({ name, summary, usage, help }: Command): string {
  const usageLine = usage === undefined ? '' : `Usage: twinport ${name} ${usage}\n\n`;
  return `twinport ${name}: ${summary}\n\n${usageLine}${help}`;
}

function overview(commands: readonly Command[]): string {
  const rows = [
    ...commands.map(({ name, summary }) => [name, summary] as const),
    ['help [command]', 'say what a command does'] as const,
    ['version', 'print the version'] as const,
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    'Usage: twinport <command>',
    '',
    'Commands:',
    ...rows.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'A command works on the store that the environment names, with the same variables as the service, unless it is',
    'told a server to ask.',
  ].join('\n');
}

function unknownCommand(typed: string, commands: readonly Command[]): string {
  const names = [...commands.map(({ name }) => name), 'help', 'version'];
  const below = names.filter((name) => name.startsWith(`${typed} `));
  const longer = names.filter((name) => typed.startsWith(`${name} `));
  const [nearest] = names
    .map((name) => ({ name, distance: editDistance(typed, name) }))
    .filter(({ distance }) => distance <= NEAR)
    .sort((a, b) => a.distance - b.distance);
  const lines = [`twinport: there is no command "${typed}".`];
  const [accepted] = longer;
  if (accepted !== undefined) lines[0] = `twinport: "${accepted}" takes no arguments.`;
  else if (below.length > 0) lines.push(`There is: ${below.join(', ')}.`);
  else if (nearest) lines.push(`Did you mean "${nearest.name}"?`);
  lines.push('`twinport help` lists the commands.');
  return lines.join('\n');
}

async function execute(
  host: CommandLineHost,
  command: Command,
  args: readonly string[],
): Promise<number> {
  const gaveUp = new AbortController();
  const removeListeners = onStopSignals(host.signals, systemClock, {
    stop: () => {
      gaveUp.abort();
    },
    stopNow: () => {
      host.exit(EXIT.failed);
    },
  });
  const context: CallContext = {
    args,
    readFile: host.readFile,
    print: (line) => {
      host.print(line);
    },
    printError: (line) => {
      host.printError(line);
    },
    signal: gaveUp.signal,
  };
  try {
    return command.worksOn === 'server'
      ? await command.run(context)
      : await runOnStore(host, command, context);
  } catch (error) {
    const reason = gaveUp.signal.aborted ? 'stopped before it was done' : describeReason(error);
    host.printError(`twinport ${command.name}: ${reason}`);
    return EXIT.failed;
  } finally {
    removeListeners();
  }
}

async function runOnStore(
  host: CommandLineHost,
  command: StoreCommand,
  context: CallContext,
): Promise<number> {
  const result = loadConfig(host.env, { mode: 'serve', readFile: host.readFile });
  for (const warning of result.warnings) host.printError(`Warning: ${warning}`);
  if (!result.isValid) {
    host.printError(describeConfigProblems(result.problems, `twinport ${command.name}`));
    return EXIT.failed;
  }
  const [config] = result.config.roles;
  const log = linesOf(host);
  const note = await openRecord(host, command, context.args, { target: config.auditLog, log });
  const stores = await openStores(config.storage, { clock: systemClock, log });
  let code: number = EXIT.failed;
  try {
    context.signal.throwIfAborted();
    code = await command.run({ ...context, config, stores, log });
    return code;
  } finally {
    stores.close();
    note?.(code === EXIT.failed ? 'failed' : 'done');
  }
}

/** Puts down what came of a command that changes who may do what; undefined: it does not, or there is no record. */
async function openRecord(
  host: CommandLineHost,
  { name, audits }: StoreCommand,
  args: readonly string[],
  { target, log }: { readonly target: string | undefined; readonly log: Log },
): Promise<((result: AuditEvent['result']) => void) | undefined> {
  const action = audits?.(args);
  if (!action) return undefined;
  // What a command prints is its result: a record among the lines of the log is told beside it.
  const opened = await openAudit(target, systemClock, log, (line) =>
    host.printError(line.trimEnd()),
  );
  return (result) => {
    const subject = ['twinport', name, ...args].join(' ');
    opened.audit?.record({ action, result, subject, by: 'command-line' });
    opened.close();
  };
}

/** Warnings for a person, beside the result; what else is logged is for services. */
function linesOf(host: CommandLineHost): Log {
  const tell = (fields: Record<string, unknown>, message: string): void => {
    const { reason } = fields;
    host.printError(`Warning: ${message}${typeof reason === 'string' ? ` (${reason})` : ''}`);
  };
  return { debug: () => undefined, info: () => undefined, warn: tell, error: tell };
}
