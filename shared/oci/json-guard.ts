/** Deepest nesting of objects and arrays that is parsed: deeper input costs JSON.parse seconds. */
const MAX_DEPTH = 64;
/** Most object members that are parsed, all objects together: 4 MiB of real descriptors stay well below it. */
const MAX_MEMBERS = 100_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * Parses JSON from a stranger. Before JSON.parse sees the text one linear scan bounds its depth and its members and
 * finds keys given twice, of which JSON.parse would silently keep the last: two readers of one document must not see
 * two documents (CVE-2021-41190). Throws an Error whose message may be shown; bytes that are not UTF-8 are refused.
 */
export function parseUntrustedJson(bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error('the body is not valid UTF-8');
  }
  scanStructure(bytes);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error('the body is not valid JSON');
  }
}

/** One pass over the bytes; knows strings and brackets only and leaves the grammar to JSON.parse. */
function scanStructure(bytes: Buffer): void {
  const open: (Set<string> | undefined)[] = [];
  let members = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    switch (byte) {
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        if (open.length === MAX_DEPTH) throw new Error(`the body nests deeper than ${MAX_DEPTH}`);
        open.push(byte === OPEN_OBJECT ? new Set() : undefined);
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        open.pop();
        break;
      case QUOTE: {
        const end = endOfString(bytes, at);
        const keys = open.at(-1);
        if (keys && isFollowedByColon(bytes, end)) {
          members += 1;
          if (members > MAX_MEMBERS) throw new Error(`the body has more than ${MAX_MEMBERS} keys`);
          addKey(keys, bytes.toString('utf8', at + 1, end));
        }
        at = end;
        break;
      }
      default:
    }
  }
}

/** The index of the closing quote, or the end of the bytes when there is none. */
function endOfString(bytes: Buffer, start: number): number {
  let at = start + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

function isFollowedByColon(bytes: Buffer, end: number): boolean {
  let at = end + 1;
  while (isSpace(bytes[at])) at += 1;
  return bytes[at] === COLON;
}

function addKey(keys: Set<string>, raw: string): void {
  const key = raw.includes('\\') ? unescape(raw) : raw;
  if (keys.has(key)) throw new Error(`the key ${JSON.stringify(key.slice(0, 64))} is given twice`);
  keys.add(key);
}

function unescape(raw: string): string {
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}
