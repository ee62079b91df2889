import { type Entry, Filter } from 'ldapts';

/** A filter with its `{placeholders}` replaced by values that can be nothing but values (RFC 4515 section 3). */
export function filledFilter(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{(\w+)\}/g, (placeholder, name: string) => {
    const value = values[name];
    return value === undefined ? placeholder : Filter.escape(value);
  });
}

/** All values of an attribute as text; directories spell attribute names in any case. */
export function valuesOf(entry: Entry, attribute: string): string[] {
  const key = Object.keys(entry).find((name) => name.toLowerCase() === attribute.toLowerCase());
  const value = key === undefined || key === 'dn' ? [] : entry[key];
  const values = Array.isArray(value) ? value : [value];
  return values.filter((each): each is string => typeof each === 'string' && each !== '');
}

/** True when the DN is below the base (or is it), whatever the spelling of either. */
export function isBelow(dn: string, base: string): boolean {
  const parts = splitDn(dn).map(comparable);
  const baseParts = splitDn(base).map(comparable);
  return (
    parts.length >= baseParts.length &&
    baseParts.every((part, index) => part === parts[parts.length - baseParts.length + index])
  );
}

/** True for two spellings of one DN. */
export const isSameDn = (one: string, other: string): boolean =>
  isBelow(one, other) && isBelow(other, one);

/** True when the DN is one part longer than the base, and below it. */
export const isDirectlyBelow = (dn: string, base: string): boolean =>
  isSameDn(splitDn(dn).slice(1).join(','), base);

/** The value that a DN begins with, `developers` of `cn=developers,ou=groups,…`; nothing when it begins with two. */
export function firstName(dn: string): string[] {
  const [first = ''] = splitDn(dn);
  const value = /^[^=+]*=((?:\\.|[^\\+])*)$/s.exec(first)?.[1]?.trim();
  return value === undefined || value === '' ? [] : [unescaped(value)];
}

/** The parts of a DN (RFC 4514), escapes left as they are. */
function splitDn(dn: string): string[] {
  return [...dn.matchAll(/((?:\\.|[^\\,])+)(?:,|$)/gs)].map(([, part = '']) => part.trim());
}

const comparable = (part: string): string =>
  part
    .split('=')
    .map((side) => unescaped(side.trim()).toLowerCase())
    .join('=');

/** `\2C` and `\,` are both a comma; hexadecimal pairs are bytes of UTF-8. */
function unescaped(value: string): string {
  return value
    .replaceAll(/(?:\\[0-9a-f]{2})+/gi, (bytes) =>
      Buffer.from(bytes.replaceAll('\\', ''), 'hex').toString(),
    )
    .replaceAll(/\\(.)/gs, '$1');
}
