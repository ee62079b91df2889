import {
  closeSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

import { runCommand, runSuccessfully } from './run-command.ts';

/** Where images keep their programs, as PATH would have it. */
const PROGRAM_FOLDERS = [
  'usr/local/sbin',
  'usr/local/bin',
  'usr/sbin',
  'usr/bin',
  'sbin',
  'bin',
  '.',
];
/** The path of the loader stands near the beginning of a program. */
const ELF_HEAD_BYTES = 4096;
const LIBRARIES = [
  'lib',
  'lib64',
  'usr/lib',
  'usr/local/lib',
  'lib/*-linux-*',
  'usr/lib/*-linux-*',
];

export interface ProgramInImage {
  readonly image: string;
  readonly program: string;
  /** Gets a file of the program's name, and the image's files under `image/`. */
  readonly folder: string;
}

/**
 * Takes a program out of an image, pulling the image where it is not there yet. It then runs as an ordinary process,
 * which tests can hang and kill like any other; a container would hide it behind the engine. A program that needs
 * libraries gets those of its image.
 */
export async function extractProgram(
  docker: string,
  { image, program, folder }: ProgramInImage,
): Promise<void> {
  const present = await runCommand(docker, ['image', 'inspect', image]);
  if (present.code !== 0) await runSuccessfully(docker, ['pull', image], { timeoutMs: 600_000 });
  const files = path.join(folder, 'image');
  mkdirSync(files);
  // The command is never run; images without one of their own cannot be created without it.
  const container = (await runSuccessfully(docker, ['create', image, program])).trim();
  try {
    const archive = path.join(folder, 'image.tar');
    await runSuccessfully(docker, ['export', '--output', archive, container]);
    const without = ['dev', 'proc', 'sys'].map((name) => `--exclude=${name}/*`);
    await runSuccessfully('tar', ['-xf', archive, '-C', files, '--no-same-owner', ...without]);
    await runSuccessfully('rm', [archive]);
  } finally {
    await runCommand(docker, ['rm', container]);
  }
  const found = PROGRAM_FOLDERS.map((name) => path.join(files, name, program)).find(existsSync);
  if (found === undefined) throw new Error(`no ${program} in the image`);
  const command = commandFor(found, files);
  // The folder is moved into its place later: the script finds its files from where it stands itself.
  const relative = command.map((part) => `"$here"/'${path.relative(folder, part)}'`);
  const libraries = relative.length > 1 ? libraryPath(folder, files) : '';
  const [first = '', ...rest] = relative;
  const script = [
    '#!/bin/sh',
    'here=$(dirname "$(readlink -f "$0")")',
    `exec ${first}${libraries} ${rest.join(' ')} "$@"`,
    '',
  ];
  writeFileSync(path.join(folder, program), script.join('\n'), { mode: 0o755 });
}

/** A program that is linked to libraries behind the loader of its image, any other alone. */
function commandFor(program: string, files: string): string[] {
  const head = Buffer.alloc(ELF_HEAD_BYTES);
  const file = openSync(program, 'r');
  readSync(file, head, 0, head.length, 0);
  closeSync(file);
  const interpreter = /\/lib[a-z0-9/_-]*\/(ld-[a-z0-9._-]+)/.exec(head.toString('latin1'))?.[1];
  if (interpreter === undefined) return [program];
  // Not by the path that the program names: a link there may be absolute, and lead out of the image.
  const places = LIBRARIES.map((name) => `${name}/${interpreter}`);
  const loader = globSync(places, { cwd: files })
    .map((name) => path.join(files, name))
    .find((name) => lstatSync(name).isFile());
  if (loader === undefined) throw new Error(`no loader ${interpreter} in the image`);
  return [loader, program];
}

function libraryPath(folder: string, files: string): string {
  const folders = globSync(LIBRARIES, { cwd: files }).map((name) => path.join(files, name));
  const all = folders.map((name) => `$here/${path.relative(folder, name)}`).join(':');
  return ` --library-path "${all}"`;
}
