import {
  parseReferencePattern,
  type ReferencePattern,
} from '../../shared/content/reference-pattern.ts';
import { UpstreamTable } from '../../shared/content/upstream-table.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { CommandError, type CommandContext } from './command.ts';

export interface PatternArguments {
  readonly pattern: ReferencePattern;
  readonly reason: string | undefined;
}

/** `<reference or digest> [--reason <text>]`, upstreams named as in a pull. Throws CommandError. */
export async function patternArguments(
  { args, config, stores, signal }: CommandContext,
  takes: { readonly reason: boolean },
): Promise<PatternArguments> {
  const [input, option, ...words] = args;
  const isOptionWrong = option !== undefined && !(takes.reason && option === '--reason');
  if (input === undefined || input.startsWith('-') || isOptionWrong) {
    throw new CommandError(
      `say one reference or digest${takes.reason ? ', and a reason after --reason if you like' : ''}`,
    );
  }
  if (option !== undefined && words.length === 0) {
    throw new CommandError('--reason needs a text after it');
  }
  const table = new UpstreamTable(stores.records, config.upstreams, systemClock);
  const pattern = parseReferencePattern(input, await table.entries(signal));
  if (!pattern) {
    throw new CommandError(
      `${input} is neither a digest nor <repository>[:<tag>][@<digest>] with * for any part`,
    );
  }
  return { pattern, reason: words.length > 0 ? words.join(' ') : undefined };
}
