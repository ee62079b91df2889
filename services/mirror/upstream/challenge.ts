/** One challenge of a `WWW-Authenticate` header: scheme and parameter names in lower case, values unquoted. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const SEPARATORS = /[ \t,]*/y;
const BLANKS = /[ \t]*/y;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const PARAMETER = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
const UP_TO_COMMA = /[^,]*/y;

/** Longer headers are cut: no challenge that a registry sends comes near it. */
const MAX_HEADER_LENGTH = 8192;

/** Reads tokens from a string, left to right, in linear time. */
class Scanner {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#text.length;
  }

  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text);
    if (!match) return undefined;
    this.#position += match[0].length;
    return match;
  }
}

/**
 * The challenges of a header (RFC 9110, 11.6.1): `#( auth-scheme [ 1*SP ( token68 / #auth-param ) ] )`. Commas separate
 * challenges as well as parameters and may stand inside quotes (`scope="repository:a:pull,push"`). What cannot be read
 * is skipped up to the next comma; the first of two parameters of one name counts.
 */
export function parseChallenges(header: string): Challenge[] {
  const scanner = new Scanner(header.slice(0, MAX_HEADER_LENGTH));
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  for (;;) {
    scanner.take(SEPARATORS);
    if (scanner.isAtEnd) return challenges;
    const current = challenges.at(-1);
    const parameter = scanner.take(PARAMETER)?.[1];
    if (parameter !== undefined) {
      const value = takeValue(scanner);
      const name = parameter.toLowerCase();
      if (value !== undefined && current && !current.parameters.has(name)) {
        current.parameters.set(name, value);
      }
      continue;
    }
    const scheme = scanner.take(TOKEN)?.[0];
    if (scheme === undefined) {
      scanner.take(UP_TO_COMMA);
      continue;
    }
    challenges.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
    scanner.take(BLANKS);
    scanner.take(TOKEN68);
  }
}

function takeValue(scanner: Scanner): string | undefined {
  const quoted = scanner.take(QUOTED)?.[1];
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1');
  const token = scanner.take(TOKEN)?.[0];
  // A bare value may hold characters that want quotes, as in realm=https://host/token.
  const rest = scanner.take(/[^ \t,"]*/y)?.[0] ?? '';
  return token === undefined && rest === '' ? undefined : `${token ?? ''}${rest}`;
}
