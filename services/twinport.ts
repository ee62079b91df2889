#!/usr/bin/env node
/** `twinport <command>`: what an operator does beside serving. */
import { readFileSync } from 'node:fs';

import { nodeVersionProblem } from './node-version.ts';

const problem = nodeVersionProblem(process.versions.node);
if (problem !== undefined) {
  console.error(problem);
  process.exit(2);
}

// Loaded only now: an older Node could not even read it.
const { COMMANDS } = await import('./command-line/commands.ts');
const { runCommandLine } = await import('./command-line/run-command-line.ts');
await runCommandLine(
  {
    args: process.argv.slice(2),
    env: process.env,
    signals: process,
    readFile: (path) => readFileSync(path === '-' ? process.stdin.fd : path, 'utf8'),
    print: (text) => console.log(text),
    printError: (text) => console.error(text),
    exit: (code) => process.exit(code),
  },
  COMMANDS,
);
