import { readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';

import { nodeVersionProblem } from './node-version.ts';
import { VERSION } from './version.ts';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
  engines: { node: string };
};

describe('versions', () => {
  test('an older Node is told what to do, a new one nothing', () => {
    expect(nodeVersionProblem('24.21.0')).toMatch(
      /needs Node 26 .* this is Node 24\.21\.0.*npm start/,
    );
    expect(nodeVersionProblem('26.0.0')).toBeUndefined();
    expect(nodeVersionProblem('30.1.0')).toBeUndefined();
  });

  test('are the same as in package.json', () => {
    expect(VERSION).toBe(manifest.version);
    expect(manifest.engines.node).toBe('>=26');
  });
});
