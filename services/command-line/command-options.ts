import { parseArgs, type ParseArgsConfig } from 'node:util';

import { CommandError } from './command.ts';

/** What stood on the command line: words in their order, and options by name. */
export interface CommandOptions {
  readonly words: readonly string[];
  /** An option that takes a text; undefined when it was not given. */
  text(name: string): string | undefined;
  /** An option that takes nothing. */
  isSet(name: string): boolean;
}

/** Reads the arguments of a command that takes so many words. Throws CommandError. */
export function commandOptions(
  args: readonly string[],
  takes: { readonly words: readonly [min: number, max: number] },
  options: Readonly<Record<string, 'text' | 'flag'>> = {},
): CommandOptions {
  const described: NonNullable<ParseArgsConfig['options']> = Object.fromEntries(
    Object.entries(options).map(([name, kind]) => [
      name,
      { type: kind === 'text' ? ('string' as const) : ('boolean' as const) },
    ]),
  );
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options: described, allowPositionals: true });
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error));
  }
  const { positionals: words, values } = parsed;
  const [min, max] = takes.words;
  if (words.length < min) throw new CommandError('something is missing after the command');
  if (words.length > max) throw new CommandError(`"${words[max] ?? ''}" is one word too many`);
  return {
    words,
    text: (name) => {
      const value = values[name];
      return typeof value === 'string' ? value : undefined;
    },
    isSet: (name) => values[name] === true,
  };
}
