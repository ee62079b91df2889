import type { Reader } from './variable.ts';
import { variable, VARIABLE_NAMES, type VariableName } from './variables.ts';

const READERS: Record<Reader, string> = {
  both: 'both roles',
  push: 'push service',
  mirror: 'mirror',
  'npm start': '`npm start`',
};

const cell = (text: string): string => text.replaceAll('|', '\\|');

function row(name: VariableName): string {
  const { description, fallback, fallbackNote, isSecret, reader } = variable(name);
  const standard = fallbackNote ?? (fallback ? `\`${fallback}\`` : '–');
  const names = isSecret ? `\`${name}\` or \`${name}_FILE\`` : `\`${name}\``;
  return `| ${names} | ${cell(description)} | ${cell(standard)} | ${READERS[reader]} |`;
}

/** The table of all variables in Markdown, for docs/configuration.md. */
export function configurationTable(): string {
  return [
    '| Variable | Meaning | Default | Read by |',
    '| --- | --- | --- | --- |',
    ...VARIABLE_NAMES.map(row),
  ].join('\n');
}

const BEGIN = '<!-- variables: begin (made by `npm run docs:config`) -->';
const END = '<!-- variables: end -->';

/** The page with its table made anew; throws when the page has no place for it. */
export function withConfigurationTable(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error('the page has no place for the table of variables');
  return `${page.slice(0, begin)}${BEGIN}\n\n${configurationTable()}\n\n${page.slice(end)}`;
}
