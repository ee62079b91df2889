import { randomUUID } from 'node:crypto';
import { type FileHandle, lstat, mkdir, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files of one open descriptor, removed when closed. */
export interface SpoolFile {
  /** Appends; resolves when the bytes can be read. */
  append(chunk: Buffer): Promise<void>;
  /** Fills as much of the buffer as it can from `position`; the number of bytes read. */
  read(buffer: Buffer, position: number, length: number): Promise<number>;
  /** Removes the file and gives its bytes back to the spool. Idempotent. */
  close(): Promise<void>;
}

const FOLDER_PREFIX = 'twinport-spool-';
const LOCK_NAME = 'lock';
/** A folder whose lock nobody listens at yet may be one that is being made. */
const YOUNG_MS = 60_000;

/**
 * Room on the local disk for blobs on their way in. Every process has a folder of its own below the base folder, locked
 * by a socket that it listens at: the kernel lets go of it however the process ends, also across containers that share
 * the folder. Bytes are reserved before they are written.
 */
export class Spool {
  readonly #base: string;
  readonly #maxBytes: number;
  #opened: { readonly folder: string; readonly lock: Server } | undefined;
  readonly #files = new Set<SpoolFile>();
  #reservedBytes = 0;

  /** `base` undefined: the system's temporary folder. */
  constructor(base: string | undefined, maxBytes: number) {
    this.#base = base ?? tmpdir();
    this.#maxBytes = maxBytes;
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
    this.#opened = { folder, lock };
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** A file of up to `bytes`, or undefined when the spool has no room for it now. */
  async create(bytes: number): Promise<SpoolFile | undefined> {
    if (!this.#opened || this.#reservedBytes + bytes > this.#maxBytes) return undefined;
    this.#reservedBytes += bytes;
    const path = join(this.#opened.folder, randomUUID());
    try {
      const handle = await open(path, 'wx+', 0o600);
      const file = new ReservedFile(handle, path, () => {
        this.#files.delete(file);
        this.#reservedBytes -= bytes;
      });
      this.#files.add(file);
      return file;
    } catch (error) {
      this.#reservedBytes -= bytes;
      throw error;
    }
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

class ReservedFile implements SpoolFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #release: () => void;
  #size = 0;
  #closing: Promise<void> | undefined;

  constructor(handle: FileHandle, path: string, release: () => void) {
    this.#handle = handle;
    this.#path = path;
    this.#release = release;
  }

  async append(chunk: Buffer): Promise<void> {
    let written = 0;
    while (written < chunk.length) {
      const { bytesWritten } = await this.#handle.write(
        chunk,
        written,
        chunk.length - written,
        this.#size + written,
      );
      written += bytesWritten;
    }
    this.#size += chunk.length;
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
      await rm(this.#path, { force: true });
    } finally {
      this.#release();
    }
  }
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
