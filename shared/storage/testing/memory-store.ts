import type { ExclusiveRecords } from '../exclusive-records.ts';
import type { ListOptions, RecordChild, RecordStore } from '../record-store.ts';
import { requireKey } from '../require-key.ts';

/** Records in memory, as a store of objects has them, for tests of what stands above the store. */
export class MemoryRecordStore implements RecordStore {
  readonly #objects = new Map<string, { readonly bytes: Buffer; readonly at: Date }>();

  get keys(): string[] {
    return [...this.#objects.keys()].sort();
  }

  async get(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    await turn(signal);
    return this.#objects.get(requireKey(key))?.bytes;
  }

  async modifiedAt(key: string, signal: AbortSignal): Promise<Date | undefined> {
    await turn(signal);
    return this.#objects.get(requireKey(key))?.at;
  }

  async put(key: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
    await turn(signal);
    this.#objects.set(requireKey(key), { bytes: Buffer.from(bytes), at: new Date() });
  }

  /** False when there is one. */
  async create(key: string, bytes: Buffer, signal: AbortSignal): Promise<boolean> {
    await turn(signal);
    if (this.#objects.has(requireKey(key))) return false;
    this.#objects.set(key, { bytes: Buffer.from(bytes), at: new Date() });
    return true;
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await turn(signal);
    this.#objects.delete(requireKey(key));
  }

  async deleteTree(folder: string, signal: AbortSignal): Promise<void> {
    await turn(signal);
    for (const key of this.keys) {
      if (key.startsWith(`${requireKey(folder)}/`)) this.#objects.delete(key);
    }
  }

  async list(
    folder: string,
    { limit = Infinity, after = '' }: ListOptions,
    signal: AbortSignal,
  ): Promise<RecordChild[]> {
    await turn(signal);
    const prefix = `${requireKey(folder)}/`;
    const children = new Map<string, boolean>();
    for (const key of this.keys) {
      if (!key.startsWith(prefix)) continue;
      const [name = '', ...below] = key.slice(prefix.length).split('/');
      if (name > after) children.set(name, below.length > 0 || children.get(name) === true);
    }
    return [...children]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, limit)
      .map(([name, isFolder]) => ({ name, isFolder }));
  }
}

/** Records of a memory that are made once. */
export const memoryExclusive = (store: MemoryRecordStore): ExclusiveRecords => ({
  isReliable: () => Promise.resolve(true),
  create: (key, bytes, signal) => store.create(key, bytes, signal),
});

/** Where nothing is promised: several writers win. */
export const unreliableExclusive: ExclusiveRecords = {
  isReliable: () => Promise.resolve(false),
  create: () => Promise.reject(new Error('not to be relied upon')),
};

/** Others come in between, as they do where a store is asked. */
async function turn(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}
