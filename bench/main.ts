/** `npm run bench`: Twinport beside the registries it is measured against. See docs/benchmarks.md. */
import { readFileSync, writeFileSync } from 'node:fs';

import { runFolder, sweepAbandonedRuns, sweepRun } from '../test/support/run-folder.ts';
import { HELP, readOptions } from './options.ts';
import { renderReport, withReport } from './report.ts';
import { runBench } from './run-bench.ts';

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (!options) {
    console.log(HELP);
    return;
  }
  sweepAbandonedRuns();
  const folder = runFolder();
  try {
    const outcome = await runBench(options, (line) => console.log(line));
    const report = renderReport(options, outcome);
    if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(outcome, null, 1));
    if (options.write === undefined) console.log(`\n${report}`);
    else writeFileSync(options.write, withReport(readFileSync(options.write, 'utf8'), report));
  } finally {
    for (const name of sweepRun(folder)) console.error(`ended what was left running: ${name}`);
  }
}

await main(process.argv.slice(2));
