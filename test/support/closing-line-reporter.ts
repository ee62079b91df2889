import { writeSync } from 'node:fs';

import type { AggregatedResult, Reporter, TestContext } from '@jest/reporters';

import { COULD_NOT_RUN } from './could-not-run.ts';

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
      .filter((result) => result.status === 'pending' || result.status === 'todo');
    const listed = skipped.filter(
      (result) => !this.#isFiltered || result.fullName.includes(COULD_NOT_RUN),
    );
    if (listed.length > 0 && process.env['CI'] === 'true') {
      this.#error = new Error(`${listed.length} tests could not run`);
    }
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
    const names = listed.map((result) => `  - ${result.fullName}`);
    const list = names.length > 0 ? ['Could not run:', ...names] : [];
    const lines = ['', ...list, `${results.numPassedTests} passed, ${failed} failed${tail}`, ''];
    // Jest's own summary is printed after every reporter has run; this is to be the very last.
    process.once('exit', () => void writeSync(process.stdout.fd, lines.join('\n')));
  }

  getLastError(): Error | undefined {
    return this.#error;
  }
}

/** Jest makes one from the configuration. */
export { ClosingLineReporter as default };
