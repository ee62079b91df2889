import { writeSync } from 'node:fs';

import type { AggregatedResult, Reporter, TestContext } from '@jest/reporters';

import { COULD_NOT_RUN } from './could-not-run.ts';

const MARK = new RegExp(` \\[${COULD_NOT_RUN}(.*?)\\]`);

/**
 * Ends the output with one plain line, `N passed, N failed` (`, N skipped` may follow), after a list by name of what
 * could not run and why. Where CI is true, a test that could not run fails the run.
 */
class ClosingLineReporter implements Pick<Reporter, 'onRunComplete' | 'getLastError'> {
  #error: Error | undefined;
  readonly #isFiltered: boolean;

  constructor(globalConfig: { readonly testNamePattern?: string }) {
    this.#isFiltered = (globalConfig.testNamePattern ?? '') !== '';
  }

  onRunComplete(_contexts: Set<TestContext>, results: AggregatedResult): void {
    const skipped = results.testResults
      .flatMap((file) => file.testResults)
      .filter((result) => result.status === 'pending' || result.status === 'todo')
      .map((result) => result.fullName);
    // A filter by name skips every other test: those are not missing.
    const missing = skipped.filter((name) => !this.#isFiltered || MARK.test(name));
    if (missing.length > 0 && process.env['CI'] === 'true') {
      this.#error = new Error(`${missing.length} tests could not run`);
    }
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
    const closing = `${results.numPassedTests} passed, ${failed} failed${tail}`;
    const lines = ['', ...listByReason(missing), closing, ''];
    // Jest's own summary is printed after every reporter has run; this is to be the very last.
    process.once('exit', () => void writeSync(process.stdout.fd, lines.join('\n')));
  }

  getLastError(): Error | undefined {
    return this.#error;
  }
}

function listByReason(names: readonly string[]): string[] {
  const byReason = Map.groupBy(names, (name) => MARK.exec(name)?.[1] ?? 'skipped in the code');
  return [...byReason].flatMap(([reason, group]) => [
    `Could not run (${reason}):`,
    ...group.map((name) => `  - ${name.replace(MARK, '')}`),
  ]);
}

/** Jest makes one from the configuration. */
export { ClosingLineReporter as default };
