import { parseArgs } from 'node:util';

import type { StoreKind, SubjectName } from './subjects/subject.ts';

export interface BenchOptions {
  /** As typed behind `npm run bench`, for the page that shows how to repeat it. */
  readonly commandLine: string;
  readonly isQuick: boolean;
  readonly rounds: number;
  /** Length of one measurement of reading. */
  readonly seconds: number;
  readonly manifests: number;
  readonly stores: readonly StoreKind[];
  readonly subjects: readonly SubjectName[];
  /** Parts of ids of cases; empty: all. */
  readonly cases: readonly string[];
  readonly withMemory: boolean;
  /** More environment of Twinport. */
  readonly env: Readonly<Record<string, string>>;
  /** The page whose measured part is replaced. */
  readonly write: string | undefined;
  /** A file for all samples. */
  readonly json: string | undefined;
}

export const HELP = `npm run bench -- [options]
  --quick              fewer cases and rounds, a smaller working set: under 5 minutes
  --rounds N           interleaved rounds of each case (3; quick 1)
  --seconds N          length of one measurement of reading (3; quick 2)
  --manifests N        the working set (20000; quick 2000)
  --stores files,s3    which stores
  --subjects twinport,distribution,zot
                       which registries; those whose program is missing are left out
  --cases a,b          only cases whose id holds one of these words; mirror: those of the mirrors
  --no-memory          leaves the measurement of memory out
  --env NAME=value     more environment of Twinport; may be repeated
  --write FILE         replaces the measured part of a page, for example docs/benchmarks.md
  --json FILE          writes every sample
`;

/** What the command line asks for; undefined when it asks for help. Throws for what it does not understand. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      manifests: { type: 'string' },
      stores: { type: 'string', default: 'files,s3' },
      subjects: { type: 'string', default: 'twinport,distribution,zot' },
      cases: { type: 'string', default: '' },
      memory: { type: 'boolean', default: true },
      env: { type: 'string', multiple: true, default: [] },
      write: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const { quick } = values;
  return {
    commandLine: ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
    isQuick: quick,
    rounds: positive(values.rounds, quick ? 1 : 3),
    seconds: positive(values.seconds, quick ? 2 : 3),
    manifests: positive(values.manifests, quick ? 2_000 : 20_000),
    stores: words(values.stores, ['files', 's3']),
    subjects: words(values.subjects, ['twinport', 'distribution', 'zot']),
    cases: values.cases.split(',').filter(Boolean),
    withMemory: values.memory,
    env: Object.fromEntries(values.env.map(assignment)),
    write: values.write,
    json: values.json,
  };
}

function positive(text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${text ?? ''} is no whole number`);
  return value;
}

function words<Word extends string>(text: string, known: readonly Word[]): Word[] {
  return text.split(',').map((word) => {
    const found = known.find((candidate) => candidate === word);
    if (found === undefined) throw new Error(`${word} is none of ${known.join(', ')}`);
    return found;
  });
}

function assignment(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new Error(`${text} is not NAME=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}
