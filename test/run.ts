/**
 * `npm test`: installs what the tests need, runs them all and closes with one plain line. Arguments go to jest, so
 * `npm test -- test/e2e` runs one folder; `--full` takes the full column of test/support/sizes.ts.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';

import { MISSING_TOOLS_VARIABLE } from './support/find-tool.ts';
import { installTools } from './support/install-tools.ts';
import { runFolder, sweepRun } from './support/run-folder.ts';
import { chooseFullSizes, isFullRun } from './support/sizes.ts';

const HUNG_AFTER_MINUTES = { ci: 45, full: 360 };
const ROOT = path.resolve(import.meta.dirname, '..');

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--full')) chooseFullSizes();
  const missing = await installTools((line) => console.log(`set-up: ${line}`));
  process.env[MISSING_TOOLS_VARIABLE] = JSON.stringify(missing);
  const folder = runFolder();
  try {
    return await runJest(args.filter((argument) => argument !== '--full'));
  } finally {
    // Jest sweeps by itself; this is for a jest that was killed.
    for (const name of sweepRun(folder)) console.error(`ended what was left running: ${name}`);
  }
}

/** Resolves to the exit code. A run that hangs is ended and has failed. */
function runJest(args: readonly string[]): Promise<number> {
  const jest = path.join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
  const nodeOptions = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const child = spawn(process.execPath, [...nodeOptions, jest, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  const minutes = HUNG_AFTER_MINUTES[isFullRun() ? 'full' : 'ci'];
  const hung = setTimeout(() => {
    console.error(`the tests did not end within ${minutes} minutes`);
    child.kill('SIGKILL');
  }, minutes * 60_000);
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', forward).on('SIGTERM', forward);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(hung);
      process.off('SIGINT', forward).off('SIGTERM', forward);
      resolve(code ?? 1);
    });
  });
}

process.exitCode = await main(process.argv.slice(2));
