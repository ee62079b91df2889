import { readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';

import { configurationTable, withConfigurationTable } from './configuration-table.ts';
import { variable, VARIABLE_NAMES } from './variables.ts';

describe('the table of variables', () => {
  test('in docs/configuration.md is the one that the program has (npm run docs:config writes it)', () => {
    const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    expect(withConfigurationTable(page)).toBe(page);
  });

  test('has a row for every variable', () => {
    const table = configurationTable();
    for (const name of VARIABLE_NAMES) expect(table).toContain(`| \`${name}\``);
  });

  test('has only defaults that its own schema understands', () => {
    for (const name of VARIABLE_NAMES) {
      const { fallback, schema } = variable(name);
      if (fallback !== undefined) expect(schema.safeParse(fallback).success).toBe(true);
    }
  });
});
