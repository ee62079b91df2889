import { chmodSync, existsSync, readdirSync } from 'node:fs';
import { arch, platform } from 'node:os';
import path from 'node:path';

import { findOnPath, toolCache } from './find-tool.ts';
import { runCommand, runSuccessfully } from './run-command.ts';

/** From here on Go fetches by itself the version that a module asks for. */
const FIRST_SELF_UPDATING_MINOR = 21;

/** New enough for everything in the table of tools; fetched by a Go too old to do so itself. */
const BOOTSTRAPPED_TOOLCHAIN = 'v0.0.1-go1.26.8';

/** The Go command to build with: PATH's, where it can fetch newer ones itself, else Go's own toolchain module. */
export async function findGo(installDebianGo: () => Promise<void>): Promise<string> {
  const present = await findUsableGo();
  if (present !== undefined) return present;
  if (findOnPath('go') === undefined) await installDebianGo();
  return (await findUsableGo()) ?? (await fetchToolchain());
}

/** The environment for building: everything lands in the cache outside the tree, and no C compiler is needed. */
export function goEnvironment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    CGO_ENABLED: '0',
    GOFLAGS: '-buildvcs=false -modcacherw -trimpath',
    GOTOOLCHAIN: 'auto',
    GOWORK: 'off',
  };
}

async function findUsableGo(): Promise<string | undefined> {
  const go = findOnPath('go');
  if (go === undefined) return undefined;
  const { stdout } = await runCommand(go, ['version'], {
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  });
  const minor = Number(/go1\.(\d+)/.exec(stdout)?.[1] ?? 0);
  return minor >= FIRST_SELF_UPDATING_MINOR ? go : undefined;
}

async function fetchToolchain(): Promise<string> {
  const go = findOnPath('go');
  if (go === undefined) throw new Error('no go on PATH and none could be installed');
  const version = `${BOOTSTRAPPED_TOOLCHAIN}.${platform()}-${goArchitecture()}`;
  const answer = await runSuccessfully(
    go,
    ['mod', 'download', '-json', `golang.org/toolchain@${version}`],
    {
      cwd: toolCache(),
      env: { ...process.env, GOFLAGS: '-modcacherw', GO111MODULE: 'on' },
      timeoutMs: 600_000,
    },
  );
  const { Dir: folder } = JSON.parse(answer) as { Dir: string };
  // A Go from before toolchain modules unpacks them as it does sources: without the right to run anything.
  for (const part of ['bin', 'pkg/tool']) makeRunnable(path.join(folder, part));
  return path.join(folder, 'bin', 'go');
}

function makeRunnable(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) chmodSync(path.join(entry.parentPath, entry.name), 0o755);
  }
}

function goArchitecture(): string {
  return arch() === 'x64' ? 'amd64' : arch();
}
