/** `npm run serve` and the image's entry point: starts one role, as the environment says. */
import { availableParallelism } from 'node:os';

import { nodeVersionProblem } from './node-version.ts';

const problem = nodeVersionProblem(process.versions.node);
if (problem !== undefined) {
  console.error(problem);
  process.exit(1);
}

// Loaded only now: an older Node could not even read it.
const { runProcess } = await import('./process/run-process.ts');
await runProcess(
  {
    env: process.env,
    forget: (names) => {
      for (const name of names) Reflect.deleteProperty(process.env, name);
    },
    signals: process,
    print: (text) => console.log(text),
    printError: (text) => console.error(text),
    exit: (code) => process.exit(code),
    cores: availableParallelism(),
  },
  'serve',
);
