/** Several services in one process, each with an environment of its own: another process takes a second of a processor. */
import { runProcess } from '../../services/process/run-process.ts';

/** Names the variable that tells the environments, as JSON. */
const VARIABLE = 'TWINPORT_TEST_SERVICES';

const environments = JSON.parse(process.env[VARIABLE] ?? '[]') as Record<string, string>[];
await Promise.all(
  environments.map((env) =>
    runProcess(
      {
        env,
        // What could get them is started by none of these.
        forget: () => undefined,
        signals: process,
        print: (text) => console.log(text),
        printError: (text) => console.error(text),
        // The others would go on without it, and whoever waits for all of them would wait long.
        exit: (code) => {
          if (code !== 0) process.exit(code);
        },
        cores: 1,
      },
      'serve',
    ),
  ),
);
