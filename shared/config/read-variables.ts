import type { ConfigProblem, ReadFile } from './environment.ts';
import type { AliasValue, Registry2Settings } from './registry2-settings.ts';
import { type Values, variable, VARIABLE_NAMES, type VariableName } from './variables.ts';

export interface ReadVariables {
  /** Broken ones hold their default, so that everything else can still be judged. */
  readonly values: Values;
  /** Where each value that somebody set came from, in the words to use towards them. */
  readonly sources: ReadonlyMap<VariableName, string>;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
}

interface Found {
  readonly source: string;
  readonly text: string;
}

/** An empty value means "not set" everywhere but here: a mirror must not become a push service by a lost value. */
const EMPTY_IS_A_VALUE: ReadonlySet<string> = new Set<VariableName>(['RUN_AS_MIRROR']);

/** Words, lists, paths, `host:port`. Longer values say more than a message should repeat. */
const HARMLESS = /^[\w.,*+/\s-]{0,60}(?::\d{1,5})?$/;
/** What looks like a key or a token, in whichever variable somebody has put it. */
const LIKE_A_SECRET = /[\w-]{16}/;

/** Reads every variable of the table: by its own name, from its file, under its name in registry:2, else its default. */
export function readVariables(
  env: ReadonlyMap<string, string>,
  registry2: Registry2Settings,
  readFile: ReadFile,
): ReadVariables {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const sources = new Map<VariableName, string>();
  const values: Partial<Record<VariableName, unknown>> = {};
  for (const name of VARIABLE_NAMES) {
    const own = findOwn(name, env, readFile, problems);
    const alias = registry2.aliases.get(name);
    if (own !== undefined && alias !== undefined && own.text !== alias.value) {
      warnings.push(`${own.source} wins over ${alias.source}, which says something else.`);
    }
    const found = own ?? fromAlias(alias);
    if (found !== undefined) sources.set(name, found.source);
    values[name] = parseValue(name, found, problems);
  }
  return { values: values as Values, sources, problems, warnings };
}

const fromAlias = (alias: AliasValue | undefined): Found | undefined =>
  alias && { source: alias.source, text: alias.value };

function findOwn(
  name: VariableName,
  env: ReadonlyMap<string, string>,
  readFile: ReadFile,
  problems: ConfigProblem[],
): Found | undefined {
  const text = setText(env, name);
  if (!variable(name).isSecret) return text === undefined ? undefined : { source: name, text };
  const file = `${name}_FILE`;
  const path = setText(env, file);
  if (path === undefined) return text === undefined ? undefined : { source: name, text };
  if (text !== undefined) {
    problems.push({ variable: name, message: `and ${file} are both set; keep one` });
    return { source: name, text };
  }
  const content = readSecret(file, path, readFile, problems);
  return content === undefined ? undefined : { source: file, text: content };
}

function setText(env: ReadonlyMap<string, string>, name: string): string | undefined {
  const text = env.get(name);
  return text === '' && !EMPTY_IS_A_VALUE.has(name) ? undefined : text;
}

function readSecret(
  file: string,
  path: string,
  readFile: ReadFile,
  problems: ConfigProblem[],
): string | undefined {
  try {
    const content = readFile(path).replace(/\r?\n$/, '');
    if (content !== '') return content;
    problems.push({ variable: file, message: `names an empty file: ${path}` });
  } catch {
    problems.push({ variable: file, message: `names a file that cannot be read: ${path}` });
  }
  return undefined;
}

function parseValue(
  name: VariableName,
  found: Found | undefined,
  problems: ConfigProblem[],
): unknown {
  const { schema, fallback, isSecret } = variable(name);
  if (found !== undefined) {
    const parsed = schema.safeParse(found.text);
    if (parsed.success) return parsed.data;
    const echo = isSecret === true ? '' : echoOf(found.text);
    for (const { message } of parsed.error.issues) {
      problems.push({ variable: found.source, message: `${message}${echo}` });
    }
  }
  return fallback === undefined ? undefined : schema.parse(fallback);
}

/** The value as a message repeats it: nothing where it may hold a secret. */
function echoOf(text: string): string {
  const isHarmless = HARMLESS.test(text) || isPlainUrl(text);
  return isHarmless && !LIKE_A_SECRET.test(text) ? `, not ${JSON.stringify(text)}` : '';
}

function isPlainUrl(text: string): boolean {
  const url = text.includes('://') ? URL.parse(text) : null;
  return url !== null && `${url.username}${url.password}${url.search}${url.hash}` === '';
}
