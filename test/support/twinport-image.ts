import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

import { makeDebianRoot } from './debian-root.ts';
import { runSuccessfully } from './run-command.ts';
import { startDockerd } from './start-dockerd.ts';
import type { DockerDaemon } from './start-dockerd.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const NPM_VERSION = '11.21.2';
const SYSTEM_AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';
const BUILD_TIMEOUT_MS = 900_000;

/** A docker daemon for building images: on overlayfs where the kernel lets it, because each step copies everything else. */
export async function startBuildDaemon(): Promise<DockerDaemon> {
  const options = { commandTimeoutMs: BUILD_TIMEOUT_MS };
  try {
    return await startDockerd({ ...options, flags: ['--storage-driver=overlay2'] });
  } catch {
    return await startDockerd(options);
  }
}

/** Builds the image of this tree without any hub: both base images are made of Debian packages. */
export async function buildTwinportImage(daemon: DockerDaemon, tag: string): Promise<void> {
  const base = await makeDebianRoot({ name: 'run', variant: 'extract', packages: ['libc6'] });
  await daemon.succeed('import', base, 'twinport.test/base');
  await daemon.succeed('import', await makeBuildRoot(), 'twinport.test/build');
  const images = ['BUILD_IMAGE=twinport.test/build', 'BASE_IMAGE=twinport.test/base'];
  const args = images.flatMap((image) => ['--build-arg', image]);
  // The steps that call npm need the network, and this daemon makes none of its own.
  await daemon.succeed('build', '--network', 'host', ...args, '--tag', tag, ROOT);
}

/** Debian with the Node of this process, an npm and this machine's way to its registry. */
async function makeBuildRoot(): Promise<string> {
  const folder = makeTempFolder('build-root');
  try {
    const prefix = path.join(folder, 'usr', 'local');
    const settings = await writeNpmSettings(path.join(prefix, 'etc'));
    await addNodeAndNpm(prefix);
    return await makeDebianRoot({
      name: 'build',
      variant: 'minbase',
      packages: ['ca-certificates', 'libatomic1', 'libstdc++6'],
      overlay: { folder, version: `${process.version} ${NPM_VERSION} ${settings}` },
    });
  } finally {
    await removeTempFolder(folder);
  }
}

/** Writes which registry npm uses here and whom it trusts, as npm's global settings; answers a digest of them. */
async function writeNpmSettings(folder: string): Promise<string> {
  const ask = async (name: string): Promise<string> =>
    (await runSuccessfully('npm', ['config', 'get', name], { cwd: ROOT })).trim();
  // Without one npm trusts what Node brings; the system's are the same and those of a proxy, if there is one.
  const authorities = [await ask('cafile'), SYSTEM_AUTHORITIES].find((file) => existsSync(file));
  const lines = [
    `registry=${await ask('registry')}`,
    ...(authorities === undefined ? [] : ['cafile=/usr/local/etc/npm-authorities.pem']),
  ];
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'npmrc'), `${lines.join('\n')}\n`);
  const hash = createHash('sha256').update(lines.join());
  if (authorities !== undefined) {
    hash.update(readFileSync(authorities));
    cpSync(authorities, path.join(folder, 'npm-authorities.pem'), { dereference: true });
  }
  return hash.digest('hex');
}

async function addNodeAndNpm(prefix: string): Promise<void> {
  const modules = path.join(prefix, 'lib', 'node_modules');
  mkdirSync(path.join(prefix, 'bin'), { recursive: true });
  mkdirSync(modules, { recursive: true });
  const pack = ['pack', `npm@${NPM_VERSION}`, '--silent', '--pack-destination', modules];
  const archive = path.join(modules, (await runSuccessfully('npm', pack, { cwd: ROOT })).trim());
  await runSuccessfully('tar', ['-xzf', archive, '-C', modules]);
  rmSync(archive);
  renameSync(path.join(modules, 'package'), path.join(modules, 'npm'));
  cpSync(process.execPath, path.join(prefix, 'bin', 'node'), { dereference: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', path.join(prefix, 'bin', 'npm'));
}
