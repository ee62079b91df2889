/** `npm run bench`: Twinport beside the registries it is measured against. See docs/benchmarks.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';

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
  const stopListening = sweepWhenInterrupted(folder);
  try {
    const outcome = await runBench(options, (line) => console.log(line));
    const report = renderReport(options, outcome);
    if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(outcome, null, 1));
    if (options.write === undefined) console.log(`\n${report}`);
    else writeFileSync(options.write, withReport(readFileSync(options.write, 'utf8'), report));
  } finally {
    stopListening();
    for (const name of sweepRun(folder)) console.error(`ended what was left running: ${name}`);
  }
}

/** A run that is interrupted ends at once, and with it every server that it started and all that they stored. */
function sweepWhenInterrupted(folder: string): () => void {
  const end = (signal: NodeJS.Signals): void => {
    for (const name of sweepRun(folder)) console.error(`interrupted, ended ${name}`);
    process.exit(128 + constants.signals[signal]);
  };
  process.on('SIGINT', end).on('SIGTERM', end);
  return () => void process.off('SIGINT', end).off('SIGTERM', end);
}

await main(process.argv.slice(2));
