import { runFolder, sweepRun } from './run-folder.ts';

function tearDown(): void {
  const left = sweepRun(runFolder());
  if (left.length > 0)
    throw new Error(`tests left servers running (ended now): ${left.join(', ')}`);
}

/** Jest calls it once after the last test file, whatever failed. A server that still runs then fails the run. */
export { tearDown as default };
