import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { findOnPath } from './find-tool.ts';
import { runCommand, runSuccessfully } from './run-command.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

/** Keeps packages from starting the servers they bring: the tests start their own, on their own ports. */
const POLICY_FILE = '/usr/sbin/policy-rc.d';

let updated = false;

/** Installs Debian packages as root or by a sudo that asks for no password; throws with the reason where it cannot. */
export async function installDebianPackages(packages: readonly string[]): Promise<void> {
  if (findOnPath('apt-get') === undefined) throw new Error('this system has no apt-get');
  const prefix = await rootPrefix();
  const isPolicyOurs = !existsSync(POLICY_FILE);
  if (isPolicyOurs) await forbidServices(prefix);
  try {
    const install = ['install', '-y', '--no-install-recommends', ...packages];
    let failure = await aptGet(prefix, install);
    if (failure !== undefined && !updated) {
      updated = true;
      failure = (await aptGet(prefix, ['update'])) ?? (await aptGet(prefix, install));
    }
    if (failure !== undefined) throw new Error(failure);
  } finally {
    if (isPolicyOurs) await runSuccessfully('env', [...prefix, 'rm', '-f', POLICY_FILE]);
  }
}

async function forbidServices(prefix: readonly string[]): Promise<void> {
  const folder = makeTempFolder('policy');
  const policy = path.join(folder, 'policy-rc.d');
  writeFileSync(policy, '#!/bin/sh\nexit 101\n');
  await runSuccessfully('env', [...prefix, 'install', '-m', '755', policy, POLICY_FILE]);
  await removeTempFolder(folder);
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
