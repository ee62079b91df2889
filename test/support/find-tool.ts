import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

import { TOOLS } from './tools.ts';
import type { Tool, ToolName } from './tools.ts';

/** Names the variable in which the test run tells its workers, as JSON, why a tool could not be had. */
export const MISSING_TOOLS_VARIABLE = 'TWINPORT_MISSING_TOOLS';

/** Where tools are kept between runs, outside the tree. */
export function toolCache(): string {
  return process.env['TWINPORT_TOOLS'] ?? path.join(homedir(), '.cache', 'twinport', 'tools');
}

/** The folder of one tool in the cache; its name carries the version. */
export function toolFolder(tool: Tool): string {
  return path.join(toolCache(), `${tool.name}@${tool.version}`);
}

/** The program's path, from its fixed place, PATH or the cache; undefined when it is in none of them. */
export function findTool(name: ToolName): string | undefined {
  const tool: Tool = TOOLS[name];
  const fixed = tool.exactPath === undefined ? findOnPath(tool.name) : onlyProgram(tool.exactPath);
  return (
    (tool.isPinned === true ? undefined : fixed) ??
    onlyProgram(path.join(toolFolder(tool), tool.name))
  );
}

/** A program of any name on PATH or in the folders of system programs. */
export function findOnPath(name: string): string | undefined {
  return pathFolders()
    .map((folder) => path.join(folder, name))
    .find((candidate) => onlyProgram(candidate) !== undefined);
}

/** As findTool, for a test that runs only where the tool is: throws with the reason when it is missing. */
export function requireTool(name: ToolName): string {
  const found = findTool(name);
  if (found === undefined) throw new Error(`${name}: ${whyMissing(name)}`);
  return found;
}

/** Why tests cannot use a tool; undefined when they can. */
export function whyUnusable(name: ToolName): string | undefined {
  const tool: Tool = TOOLS[name];
  if (tool.needsRoot === true && process.getuid?.() !== 0) return 'runs only as root';
  return findTool(name) === undefined ? whyMissing(name) : undefined;
}

function whyMissing(name: ToolName): string {
  const known = JSON.parse(process.env[MISSING_TOOLS_VARIABLE] ?? '{}') as Partial<
    Record<ToolName, string>
  >;
  return known[name] ?? 'not found; `npm test` installs it';
}

/** The folders of PATH and those of system programs, which the PATH of ordinary users lacks. */
function pathFolders(): string[] {
  return [
    ...(process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean),
    '/usr/sbin',
    '/sbin',
  ];
}

function onlyProgram(file: string): string | undefined {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile() ? file : undefined;
  } catch {
    return undefined;
  }
}
