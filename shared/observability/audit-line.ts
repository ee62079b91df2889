import type { AuditEvent } from './audit-log.ts';

/** No honest name, tag or address is longer: a repository has 255 characters at most, a digest 135. */
const MAX_FIELD_CHARACTERS = 512;
/** What a terminal or a reader of lines takes for more than text: controls, direction marks, separators of lines. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

/**
 * One event as one line of JSON, its end included. Strings are cut where they are too long to be honest, and every
 * character that could end the line or mislead a terminal stands as an escape.
 */
export function auditLine(event: AuditEvent, time: Date): string {
  const json = JSON.stringify({ time: time.toISOString(), ...event }, (_key, value: unknown) =>
    typeof value === 'string' ? capped(value) : value,
  );
  return `${json.replaceAll(UNPRINTABLE, escaped)}\n`;
}

function capped(text: string): string {
  if (text.length <= MAX_FIELD_CHARACTERS) return text;
  return `${text.slice(0, MAX_FIELD_CHARACTERS)}… (${text.length} characters)`;
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    const code = character.charCodeAt(index);
    return `\\u${code.toString(16).padStart(4, '0')}`;
  }).join('');
}
