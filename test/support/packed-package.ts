import { chmod, cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { z } from 'zod';

import { runSuccessfully } from './run-command.ts';
import { isFullRun } from './sizes.ts';
import { makeTempFolder } from './temp-folder.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
/** What a clone has that no tool has written. */
const NOT_COPIED = new Set(['node_modules', 'dist', 'data', 'coverage', '.git']);

const MANIFEST = z.object({
  dependencies: z.record(z.string(), z.string()),
  bin: z.record(z.string(), z.string()),
});

/**
 * Packs a copy of this tree as `npm pack` does, and answers the archive. The full column lets npm compile it; the other one
 * compiles the same without looking at types, which takes a third of the time.
 */
export async function packPackage(): Promise<string> {
  const tree = await copyTree();
  const options = ['pack', '--silent', '--pack-destination', tree];
  if (isFullRun()) {
    await runSuccessfully('npm', options, { cwd: tree });
  } else {
    const compiler = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const build = [compiler, '-p', 'tsconfig.build.json', '--noCheck'];
    await runSuccessfully(process.execPath, build, { cwd: tree });
    await runSuccessfully('npm', [...options, '--ignore-scripts'], { cwd: tree });
  }
  const archive = (await readdir(tree)).find((name) => name.endsWith('.tgz'));
  if (archive === undefined) throw new Error('npm has packed nothing');
  return path.join(tree, archive);
}

/**
 * Installs the archive into a folder that knows nothing of this tree, and answers the folder. The full column lets npm do
 * it with the packages of the registry; the other one does what npm would, with links to those of this tree.
 */
export async function installPackage(archive: string): Promise<string> {
  const folder = makeTempFolder('elsewhere');
  await writeFile(path.join(folder, 'package.json'), '{ "private": true }');
  if (isFullRun()) {
    const quiet = ['--no-audit', '--no-fund', '--ignore-scripts'];
    await runSuccessfully('npm', ['install', ...quiet, archive], { cwd: folder });
  } else await linkPackage(archive, path.join(folder, 'node_modules'));
  return folder;
}

async function copyTree(): Promise<string> {
  const tree = makeTempFolder('tree');
  for (const name of await readdir(ROOT)) {
    if (NOT_COPIED.has(name)) continue;
    await cp(path.join(ROOT, name), path.join(tree, name), { recursive: true });
  }
  await symlink(path.join(ROOT, 'node_modules'), path.join(tree, 'node_modules'));
  return tree;
}

/** Only what package.json names is there: what it forgot is not found. */
async function linkPackage(archive: string, modules: string): Promise<void> {
  const unpacked = path.join(modules, 'twinport');
  await mkdir(unpacked, { recursive: true });
  await runSuccessfully('tar', ['-xzf', archive, '-C', unpacked, '--strip-components=1']);
  const manifest = await readFile(path.join(unpacked, 'package.json'), 'utf8');
  const { dependencies, bin } = MANIFEST.parse(JSON.parse(manifest));
  for (const name of Object.keys(dependencies)) {
    const link = path.join(modules, name);
    await mkdir(path.dirname(link), { recursive: true });
    await symlink(path.join(ROOT, 'node_modules', name), link);
  }
  await mkdir(path.join(modules, '.bin'));
  for (const [command, file] of Object.entries(bin)) {
    await chmod(path.join(unpacked, file), 0o755);
    await symlink(path.join('..', 'twinport', file), path.join(modules, '.bin', command));
  }
}
