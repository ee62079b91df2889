import { runFolder, sweepAbandonedRuns } from './run-folder.ts';

function setUp(): void {
  sweepAbandonedRuns();
  runFolder();
}

/** Jest calls it once before the first test file: its workers inherit the run folder. */
export { setUp as default };
