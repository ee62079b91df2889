import { randomUUID } from 'node:crypto';
import {
  type FileHandle,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rm,
  statfs,
} from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ByteBudget } from '../../../shared/concurrency/byte-budget.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { MemoryWindows } from './memory-window.ts';
import { RingFile } from './ring-file.ts';
import type { SpoolFile } from './spool-file.ts';

/** Windows that are tried for what does not fit as a whole. */
const WINDOW_BYTES = [256, 64, 16].map((mib) => mib * 1024 * 1024);

const FOLDER_PREFIX = 'twinport-spool-';
const LOCK_NAME = 'lock';
/** A folder whose lock nobody listens at yet may be one that is being made. */
const YOUNG_MS = 60_000;
/** How long nothing new is spooled after the disk has failed, so that the retries of those it failed pass it by. */
const REST_AFTER_FAULT_MS = 30_000;

/**
 * Room on the local disk for blobs on their way in. Every process has a folder of its own below the base folder, locked
 * by a socket that it listens at: the kernel lets go of it however the process ends, also across containers that share
 * the folder. Bytes are reserved before they are written, as far as the disk has them free.
 */
export class Spool {
  readonly #base: string;
  readonly #room: ByteBudget;
  readonly #clock: Clock;
  #opened: { readonly folder: string; readonly lock: Server } | undefined;
  readonly #files = new Set<ReservedFile>();
  readonly #memory = new MemoryWindows();
  #reservedBytes = 0;
  #restsUntilMs = -Infinity;

  /** `base` undefined: the system's temporary folder. `room`: what this and other spools may hold together. */
  constructor(base: string | undefined, room: ByteBudget, clock: Clock) {
    this.#base = base ?? tmpdir();
    this.#room = room;
    this.#clock = clock;
  }

  /** Makes this process's folder and removes those of dead processes. Before that there is no room. */
  async open(): Promise<void> {
    await mkdir(this.#base, { recursive: true });
    await removeLeftovers(this.#base);
    // A name that nobody can foresee, readable by this user alone.
    const folder = await mkdtemp(join(this.#base, FOLDER_PREFIX));
    const lock = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      lock.once('error', reject);
      lock.listen(join(folder, LOCK_NAME), resolve);
    });
    // Whoever asks whether this process lives and cannot be accepted is told so by the system.
    lock.on('error', () => undefined);
    this.#opened = { folder, lock };
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /**
   * A file of up to `bytes`, or undefined when the spool or its disk has no room for it now, or when the disk has just
   * failed.
   */
  create(bytes: number): Promise<SpoolFile | undefined> {
    return this.#createFile(bytes);
  }

  async #createFile(bytes: number): Promise<ReservedFile | undefined> {
    const opened = this.#opened;
    if (!opened || this.#clock.monotonicMs() < this.#restsUntilMs) return undefined;
    if (!(await this.#room.reserve(bytes))) return undefined;
    // Before the disk is asked: those who ask at the same time count each other's bytes.
    this.#reservedBytes += bytes;
    let file: ReservedFile | undefined;
    try {
      if (!(await this.#fitsDisk(opened.folder)) || this.#opened !== opened) return undefined;
      const path = join(opened.folder, randomUUID());
      // Its folder is closed to others; the file may become one of the store's.
      const handle = await open(path, 'wx+');
      const created = new ReservedFile(handle, path, {
        writeFailed: () => this.#rest(),
        closed: () => {
          this.#files.delete(created);
          this.#giveBack(bytes);
        },
      });
      file = created;
      this.#files.add(file);
      return file;
    } catch (error) {
      this.#rest();
      throw error;
    } finally {
      if (!file) this.#giveBack(bytes);
    }
  }

  /**
   * For a blob of `totalBytes` that does not fit: a file of its last bytes, or a few of them in memory, whatever the disk
   * does. Undefined when there is no room for that either.
   */
  async createWindow(
    totalBytes: number,
    onDiskFault: (error: unknown) => void,
  ): Promise<SpoolFile | undefined> {
    for (const bytes of WINDOW_BYTES) {
      if (bytes >= totalBytes) continue;
      const file = await this.#createFile(bytes).catch(onDiskFault);
      if (file) return new RingFile(file, bytes);
    }
    return this.#memory.create();
  }

  #rest(): void {
    this.#restsUntilMs = this.#clock.monotonicMs() + REST_AFTER_FAULT_MS;
  }

  #giveBack(bytes: number): void {
    this.#reservedBytes -= bytes;
    this.#room.release(bytes);
  }

  /** Whether all that is reserved and not yet written can be. */
  async #fitsDisk(folder: string): Promise<boolean> {
    const disk = await statfs(folder);
    // Some file systems without a limit of their own tell no size at all.
    if (disk.blocks === 0) return true;
    let missingBytes = this.#reservedBytes;
    for (const { writtenBytes } of this.#files) missingBytes -= writtenBytes;
    return missingBytes <= disk.bavail * disk.bsize;
  }

  /** Closes all files and removes the folder. */
  async close(): Promise<void> {
    const opened = this.#opened;
    if (!opened) return;
    this.#opened = undefined;
    await Promise.all([...this.#files].map((file) => file.close()));
    await new Promise<void>((resolve) => {
      opened.lock.close(() => {
        resolve();
      });
    });
    await rm(opened.folder, { recursive: true, force: true });
  }
}

interface FileEvents {
  writeFailed(): void;
  closed(): void;
}

class ReservedFile implements SpoolFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #events: FileEvents;
  #size = 0;
  #closing: Promise<void> | undefined;

  constructor(handle: FileHandle, path: string, events: FileEvents) {
    this.#handle = handle;
    this.path = path;
    this.#events = events;
  }

  get writtenBytes(): number {
    return this.#size;
  }

  append(chunks: readonly Buffer[]): Promise<void> {
    return this.write(chunks, this.#size);
  }

  async write(chunks: readonly Buffer[], position: number): Promise<void> {
    let end = position;
    try {
      for (let rest = chunks; rest.length > 0;) {
        const { bytesWritten } = await this.#handle.writev(rest, end);
        end += bytesWritten;
        rest = withoutFirst(rest, bytesWritten);
      }
    } catch (error) {
      this.#events.writeFailed();
      throw error;
    }
    this.#size = Math.max(this.#size, end);
  }

  async read(buffer: Buffer, position: number, length: number): Promise<number> {
    const { bytesRead } = await this.#handle.read(buffer, 0, length, position);
    return bytesRead;
  }

  close(): Promise<void> {
    this.#closing ??= this.#remove();
    return this.#closing;
  }

  async #remove(): Promise<void> {
    try {
      await this.#handle.close();
      await rm(this.path, { force: true });
    } finally {
      this.#events.closed();
    }
  }
}

/** What is left when the system has taken so many bytes. */
function withoutFirst(chunks: readonly Buffer[], bytes: number): readonly Buffer[] {
  let skip = bytes;
  return chunks.flatMap((chunk) => {
    const left = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - left.length;
    return left.length > 0 ? [left] : [];
  });
}

/** Removes folders of our name, made by this user, whose lock nobody listens at. */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(FOLDER_PREFIX)) continue;
    const folder = join(parent, name);
    const stat = await lstat(folder).catch(() => undefined);
    if (!stat?.isDirectory() || stat.uid !== process.getuid?.()) continue;
    const lock = await probeLock(join(folder, LOCK_NAME));
    const isLeftover = lock === 'dead' || (lock === 'none' && Date.now() - stat.mtimeMs > YOUNG_MS);
    // What cannot be removed costs space, not correctness.
    if (isLeftover) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

function probeLock(path: string): Promise<'alive' | 'dead' | 'none'> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('alive');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve('dead');
      else resolve(error.code === 'ENOENT' ? 'none' : 'alive');
    });
  });
}
