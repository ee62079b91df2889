import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { arch } from 'node:os';
import path from 'node:path';

import { requireTool, toolCache } from './find-tool.ts';
import { runSuccessfully } from './run-command.ts';

export interface DebianRoot {
  /** For the file's name. */
  readonly name: string;
  /** `extract`: the packages' files and no more, so no shell unless one asks for it; `minbase`: a system that runs apt. */
  readonly variant: 'extract' | 'minbase';
  readonly packages: readonly string[];
  /** Folders copied over the result; `version` tells apart what they hold. */
  readonly overlay?: { readonly folder: string; readonly version: string };
}

const RELEASE = 'bookworm';

/** The tar of a root file system of Debian packages, made once and kept outside the tree. Needs root. */
export async function makeDebianRoot(root: DebianRoot): Promise<string> {
  const { name, variant, packages, overlay } = root;
  const key = JSON.stringify([RELEASE, arch(), variant, packages, overlay?.version]);
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12);
  const folder = path.join(toolCache(), '..', 'bases');
  const file = path.join(folder, `${name}-${RELEASE}-${hash}.tar`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const unfinished = path.join(folder, `.${process.pid}-${path.basename(file)}`);
  const copy = overlay === undefined ? [] : [`--customize-hook=sync-in ${overlay.folder} /`];
  const args = [`--variant=${variant}`, `--include=${packages.join(',')}`, ...copy];
  try {
    await runSuccessfully(requireTool('mmdebstrap'), [...args, RELEASE, unfinished], {
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
      timeoutMs: 600_000,
    });
    renameSync(unfinished, file);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return file;
}
