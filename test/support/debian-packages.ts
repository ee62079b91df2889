import { existsSync } from 'node:fs';
import { writeFile, rm } from 'node:fs/promises';

import { findOnPath } from './find-tool.ts';
import { runCommand } from './run-command.ts';

/** Keeps packages from starting the servers they bring: the tests start their own, on their own ports. */
const POLICY_FILE = '/usr/sbin/policy-rc.d';

let updated = false;

/** Installs Debian packages as root or by a sudo that asks for no password; throws with the reason where it cannot. */
export async function installDebianPackages(packages: readonly string[]): Promise<void> {
  if (findOnPath('apt-get') === undefined) throw new Error('this system has no apt-get');
  const prefix = await rootPrefix();
  const isPolicyOurs = process.getuid?.() === 0 && !existsSync(POLICY_FILE);
  if (isPolicyOurs) await writeFile(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const install = ['install', '-y', '--no-install-recommends', ...packages];
    let failure = await aptGet(prefix, install);
    if (failure !== undefined && !updated) {
      updated = true;
      failure = (await aptGet(prefix, ['update'])) ?? (await aptGet(prefix, install));
    }
    if (failure !== undefined) throw new Error(failure);
  } finally {
    if (isPolicyOurs) await rm(POLICY_FILE, { force: true });
  }
}

/** Undefined when it succeeded, else the end of what it printed. */
async function aptGet(
  prefix: readonly string[],
  args: readonly string[],
): Promise<string | undefined> {
  const quiet = ['-q', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=300'];
  const words = [...prefix, 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...quiet, ...args];
  const { code, stdout, stderr } = await runCommand('env', words, { timeoutMs: 900_000 });
  if (code === 0) return undefined;
  return `apt-get ${args.join(' ')} ended with ${code}: ${(stderr || stdout).trim().slice(-500)}`;
}

async function rootPrefix(): Promise<string[]> {
  if (process.getuid?.() === 0) return [];
  if (findOnPath('sudo') !== undefined && (await runCommand('sudo', ['-n', 'true'])).code === 0)
    return ['sudo', '-n', 'env'];
  throw new Error('installing Debian packages needs root or a sudo that asks for no password');
}
