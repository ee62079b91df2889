import { randomUUID } from 'node:crypto';
import { closeSync, constants, lstatSync, openSync, type Stats } from 'node:fs';
import { copyFile, lstat, open, readdir, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { UploadOffsetError, UploadUnknownError } from '../errors.ts';
import type { DurableFiles } from './durable-files.ts';
import { unlessAbsent } from './filesystem-errors.ts';
import { COMMITTED, STARTED_AT } from './upload-records.ts';

/** The staged bytes of a session when nobody works on them; the CNCF registry's name for them. */
const FREE = 'data';
/** Somebody appends to them or publishes them. */
const CLAIMED_PREFIX = 'data.';
const COPY_PREFIX = 'copy.';
/** More racing claims of one session than any client makes. */
const MAX_RACES = 10;
/** How often one pauses before a file that another claimed is taken over: a live one gives it back meanwhile. */
const PATIENCE = 40;
/** Never creates the file: it may have been taken away since it was claimed. */
const OPEN_TO_APPEND = constants.O_RDWR | constants.O_APPEND;

/** Staged bytes that this process alone works on, under a name that no other opens. */
export interface Claim {
  readonly path: string;
  /** For reading and appending. Whoever claimed it closes it. */
  readonly handle: FileHandle;
  readonly size: number;
  /** Tells this file from a copy of its beginning. */
  readonly inode: number;
}

export async function createStagedFile(files: DurableFiles, folder: string): Promise<void> {
  const path = join(folder, FREE);
  await files.calls.either(
    () => {
      closeSync(openSync(path, 'wx'));
    },
    () => open(path, 'wx').then((handle) => handle.close()),
  );
}

/** How many bytes are staged; undefined when the session is gone. */
export async function stagedBytes(
  files: DurableFiles,
  folder: string,
): Promise<number | undefined> {
  return (await findStaged(files, folder))?.size;
}

/**
 * Takes the staged file by renaming it. A write that is still under way in a process that was believed dead goes on
 * into its own claimed file, which is replaced by a copy here: it can never reach a published blob. Throws
 * UploadUnknownError when the session is gone, and UploadOffsetError, without having touched anything, when `offset`
 * is given and is not where the staged bytes end. `pause`: a short sleep while another holds the file.
 */
export async function claimStaged(
  files: DurableFiles,
  folder: string,
  pause: () => Promise<void>,
  offset?: number,
): Promise<Claim> {
  let pauses = 0;
  for (let race = 0; race < MAX_RACES; race += 1) {
    let staged = await findStaged(files, folder);
    while (staged && staged.name !== FREE && pauses < PATIENCE) {
      requireOffset(offset, staged.size);
      pauses += 1;
      await pause();
      staged = await findStaged(files, folder);
    }
    if (!staged) break;
    requireOffset(offset, staged.size);
    const path =
      staged.name === FREE
        ? await takeFree(files, folder)
        : await takeOver(files, folder, staged.name);
    const handle = path === undefined ? undefined : await unlessAbsent(open(path, OPEN_TO_APPEND));
    if (path === undefined || !handle) continue;
    try {
      const { size, ino } = await handle.stat();
      requireOffset(offset, size);
      return { path, handle, size, inode: ino };
    } catch (error) {
      await handle.close();
      await releaseStaged(files, folder, path);
      throw error;
    }
  }
  throw new UploadUnknownError('upload.claim', 'the upload session is gone');
}

/** Gives a claimed file back, after its handle was closed. False when another took it over or the session is gone. */
export async function releaseStaged(
  files: DurableFiles,
  folder: string,
  claimedPath: string,
): Promise<boolean> {
  const released = files.rename(claimedPath, join(folder, FREE)).then(() => true);
  return (await unlessAbsent(released)) ?? false;
}

async function findStaged(
  files: DurableFiles,
  folder: string,
): Promise<{ name: string; size: number } | undefined> {
  for (let race = 0; race < MAX_RACES; race += 1) {
    const free = await unlessAbsent(look(files, join(folder, FREE)));
    if (free) return { name: FREE, size: free.size };
    const names = (await unlessAbsent(readdir(folder))) ?? [];
    const claimed = await largestOf(
      folder,
      names.filter((name) => name.startsWith(CLAIMED_PREFIX)),
    );
    if (claimed) return claimed;
    // A live session whose file is being renamed may have shown neither name.
    if (!names.includes(STARTED_AT) || names.includes(COMMITTED)) return undefined;
  }
  return undefined;
}

async function largestOf(
  folder: string,
  names: readonly string[],
): Promise<{ name: string; size: number } | undefined> {
  let largest: { name: string; size: number } | undefined;
  for (const name of names) {
    const found = await unlessAbsent(lstat(join(folder, name)));
    if (found && (!largest || found.size > largest.size)) largest = { name, size: found.size };
  }
  return largest;
}

async function takeFree(files: DurableFiles, folder: string): Promise<string | undefined> {
  const mine = join(folder, `${CLAIMED_PREFIX}${randomUUID()}`);
  return unlessAbsent(files.rename(join(folder, FREE), mine).then(() => mine));
}

/** Takes what another process claimed and did not give back. Only who removes its file has taken it. */
async function takeOver(
  files: DurableFiles,
  folder: string,
  claimedName: string,
): Promise<string | undefined> {
  const theirs = join(folder, claimedName);
  const copy = join(folder, `${COPY_PREFIX}${randomUUID()}`);
  const mine = join(folder, `${CLAIMED_PREFIX}${randomUUID()}`);
  const isCopied = await unlessAbsent(
    copyFile(theirs, copy, constants.COPYFILE_FICLONE).then(() => true),
  );
  if (!isCopied) return undefined;
  const isNamed = await unlessAbsent(files.rename(copy, mine).then(() => true));
  if (!isNamed) return undefined;
  if (await unlessAbsent(unlink(theirs).then(() => true))) return mine;
  await unlessAbsent(unlink(mine));
  return undefined;
}

function requireOffset(offset: number | undefined, size: number): void {
  if (offset !== undefined && offset !== size) throw new UploadOffsetError(size);
}

function look(files: DurableFiles, path: string): Promise<Stats> {
  return files.calls.either(
    () => lstatSync(path),
    () => lstat(path),
  );
}
