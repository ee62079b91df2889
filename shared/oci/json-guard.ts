/** Deepest nesting of objects and arrays that is parsed: deeper input costs JSON.parse seconds. */
const MAX_DEPTH = 64;
/** Most object members that are parsed, all objects together: 4 MiB of real descriptors stay below it. */
const MAX_MEMBERS = 100_000;
/** Most objects and arrays: 4 MiB of real descriptors are 28,000. */
const MAX_CONTAINERS = 32_768;
/** Most commas, and so values: 4 MiB of real descriptors have 120,000. */
const MAX_COMMAS = 150_000;
/** Objects of more members than a descriptor has get a set for their keys; making one for each costs too much. */
const FEW_KEYS = 12;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

const isSpace = (code: number): boolean =>
  code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/**
 * Parses JSON from a stranger. Before JSON.parse sees the text one linear scan bounds its depth and how much it holds,
 * and finds keys given twice, of which JSON.parse would silently keep the last: two readers of one document must not see
 * two documents (CVE-2021-41190). Throws an Error whose message may be shown; bytes that are not UTF-8 are refused.
 */
export function parseUntrustedJson(bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('the body is not valid UTF-8');
  }
  scanStructure(text);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error('the body is not valid JSON');
  }
}

/** One pass over the text; knows strings and brackets only and leaves the grammar to JSON.parse. */
function scanStructure(text: string): void {
  const open: (ObjectKeys | undefined)[] = [];
  const count = { containers: 0, commas: 0, members: 0 };
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    switch (code) {
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        if (open.length === MAX_DEPTH) throw new Error(`the body nests deeper than ${MAX_DEPTH}`);
        count.containers += 1;
        refuseAbove(count.containers, MAX_CONTAINERS, 'objects and lists');
        open.push(code === OPEN_OBJECT ? new ObjectKeys() : undefined);
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        open.pop();
        break;
      case COMMA:
        count.commas += 1;
        refuseAbove(count.commas, MAX_COMMAS, 'values');
        break;
      case QUOTE: {
        const end = endOfString(text, at);
        const keys = open.at(-1);
        if (keys && isFollowedByColon(text, end)) {
          count.members += 1;
          refuseAbove(count.members, MAX_MEMBERS, 'keys');
          keys.add(text.slice(at + 1, end));
        }
        at = end;
        break;
      }
      default:
    }
  }
}

function refuseAbove(found: number, most: number, what: string): void {
  if (found > most) throw new Error(`the body has more than ${most} ${what}`);
}

/** The index of the closing quote, or the end of the text when there is none. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote;
    at = quote + 1;
  }
}

function isFollowedByColon(text: string, end: number): boolean {
  let at = end + 1;
  while (isSpace(text.charCodeAt(at))) at += 1;
  return text.charCodeAt(at) === COLON;
}

/** The keys of one object, none twice. */
class ObjectKeys {
  readonly #few: string[] = [];
  #many: Set<string> | undefined;

  /** Throws when the key, as it stands in the text, is there already. */
  add(raw: string): void {
    const key = raw.includes('\\') ? unescape(raw) : raw;
    if (this.#many?.has(key) ?? this.#few.includes(key)) {
      throw new Error(`the key ${JSON.stringify(key.slice(0, 64))} is given twice`);
    }
    if (this.#many) this.#many.add(key);
    else if (this.#few.push(key) === FEW_KEYS) this.#many = new Set(this.#few);
  }
}

function unescape(raw: string): string {
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}
