import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

import { installDebianPackages } from './debian-packages.ts';
import { extractProgram } from './extract-program.ts';
import { findOnPath, findTool, toolCache, toolFolder } from './find-tool.ts';
import { findGo, goEnvironment } from './go-toolchain.ts';
import { runCommand, runSuccessfully } from './run-command.ts';
import { testTools, TOOLS } from './tools.ts';
import type { Tool, ToolName } from './tools.ts';
import { unpackMavenArchive } from './unpack-maven-archive.ts';

/** Why tools that could not be had are missing. */
export type MissingTools = Partial<Record<ToolName, string>>;

type Print = (line: string) => void;

/**
 * For programs whose speed no test looks at: without the optimiser they compile in two thirds of the time. The tags leave
 * out containerd's drivers of file systems.
 */
const QUICK_BUILD = [
  '-gcflags=all=-N -l',
  '-ldflags=-s -w',
  '-tags=no_btrfs,no_devmapper,no_zfs,no_tracing',
];

/**
 * Installs those of the tools that are not there: Debian packages beside `go install`, then what Maven Central has, then
 * images for what none of them brought.
 * Nothing fails here: what cannot be had is answered by name with its reason.
 */
export async function installTools(
  print: Print,
  names: readonly ToolName[] = testTools(),
): Promise<MissingTools> {
  const wanted = names.filter((name) => findTool(name) === undefined);
  if (wanted.length === 0) return {};
  mkdirSync(toolCache(), { recursive: true });
  print(`installing ${wanted.join(', ')}`);
  const reasons: MissingTools = {};
  // Two apt-get at once would wait for each other's lock, and two Go builds share the processors anyway.
  const packages = installPackages(wanted, reasons, print);
  await Promise.all([packages, buildFromGo(wanted, { reasons, print, packages })]);
  for (const name of wanted) {
    if (findTool(name) !== undefined) continue;
    await takeFromMaven(name, reasons, print);
    await takeFromImage(name, reasons, print);
  }
  return reasons;
}

async function installPackages(
  wanted: readonly ToolName[],
  reasons: MissingTools,
  print: Print,
): Promise<void> {
  const byPackage = Map.groupBy(wanted, (name) => (TOOLS[name] as Tool).debianPackage);
  byPackage.delete(undefined);
  for (const [debianPackage = '', names] of byPackage) {
    try {
      await installDebianPackages([debianPackage]);
      print(`installed Debian's ${debianPackage}`);
    } catch (error) {
      for (const name of names) reasons[name] = messageOf(error);
    }
  }
}

interface GoBuildContext {
  readonly reasons: MissingTools;
  readonly print: Print;
  readonly packages: Promise<void>;
}

async function buildFromGo(wanted: readonly ToolName[], context: GoBuildContext): Promise<void> {
  const names = wanted.filter((name) => (TOOLS[name] as Tool).goPackage !== undefined);
  if (names.length === 0) return;
  let go: string;
  try {
    go = await findGo(async () => {
      await context.packages;
      await installDebianPackages(['golang-go']);
    });
  } catch (error) {
    for (const name of names) context.reasons[name] = messageOf(error);
    return;
  }
  const byModules = Map.groupBy(names, (name) => (TOOLS[name] as Tool).goModules?.join(' '));
  for (const [modules, group] of byModules) {
    await withStaging(async (folder) => {
      try {
        if (modules !== undefined) await requireModules(go, folder, modules);
        for (const name of group) await buildTool(name, { go, folder, context });
      } catch (error) {
        for (const name of group) context.reasons[name] = messageOf(error);
      }
    });
  }
}

/** Makes the folder a module that requires the others. */
async function requireModules(go: string, folder: string, modules: string): Promise<void> {
  const options = { cwd: folder, env: goEnvironment(), timeoutMs: 600_000 };
  await runSuccessfully(go, ['mod', 'init', 'twinport.test/tools'], options);
  await runSuccessfully(go, ['get', ...modules.split(' ')], options);
}

interface BuildPlace {
  readonly go: string;
  readonly folder: string;
  readonly context: GoBuildContext;
}

/** Never fails: why a tool could not be built is noted, and the next one is tried. */
async function buildTool(name: ToolName, { go, folder, context }: BuildPlace): Promise<void> {
  const tool: Tool = TOOLS[name];
  const startedAt = performance.now();
  try {
    await withStaging(async (built) => {
      const options = {
        cwd: folder,
        env: { ...goEnvironment(), GOBIN: built },
        timeoutMs: 1_800_000,
      };
      await runSuccessfully(go, buildArguments(tool, built), options);
      moveIntoCache(built, tool);
    });
    context.print(`built ${name} in ${Math.round((performance.now() - startedAt) / 1_000)} s`);
  } catch (error) {
    context.reasons[name] = messageOf(error);
  }
}

function buildArguments(tool: Tool, folder: string): string[] {
  const { goPackage = '', goModules, name, version } = tool;
  if (goModules === undefined) return ['install', `${goPackage}@${version}`];
  return ['build', '-mod=mod', ...QUICK_BUILD, '-o', path.join(folder, name), goPackage];
}

async function withStaging(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(toolCache(), '.building-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function takeFromMaven(name: ToolName, reasons: MissingTools, print: Print): Promise<void> {
  const { mavenArchive }: Tool = TOOLS[name];
  if (mavenArchive === undefined) return;
  try {
    await withStaging(async (folder) => {
      await unpackMavenArchive(mavenArchive, { folder, name: TOOLS[name].name });
      moveIntoCache(folder, TOOLS[name]);
    });
    print(`unpacked ${name} of Maven Central`);
  } catch (error) {
    reasons[name] = messageOf(error);
  }
}

/** As a last resort the program out of its image, where a docker engine answers. */
async function takeFromImage(name: ToolName, reasons: MissingTools, print: Print): Promise<void> {
  const { image, name: program }: Tool = TOOLS[name];
  const docker = findOnPath('docker');
  if (image === undefined || docker === undefined) return;
  if ((await runCommand(docker, ['version'], { timeoutMs: 20_000 })).code !== 0) return;
  const staging = mkdtempSync(path.join(toolCache(), '.building-'));
  try {
    await extractProgram(docker, { image, program, folder: staging });
    moveIntoCache(staging, TOOLS[name]);
    Reflect.deleteProperty(reasons, name);
    print(`${name} is the one of the image ${image}`);
  } catch (error) {
    reasons[name] = `${reasons[name] ?? 'not installed'}; image ${image}: ${messageOf(error)}`;
    rmSync(staging, { recursive: true, force: true });
  }
}

/** The program, and whatever lies beside it, becomes the tool's folder of the cache in one step. */
function moveIntoCache(staging: string, tool: Tool): void {
  const folder = toolFolder(tool);
  rmSync(folder, { recursive: true, force: true });
  renameSync(staging, folder);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim().slice(-600) : String(error);
}
