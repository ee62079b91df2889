import type { ListOptions, RecordChild, RecordStore } from '../../storage/record-store.ts';

/** Records in a map, for tests of what stands on a record store; `isBroken` makes every call fail. */
export class MemoryRecordStore implements RecordStore {
  readonly records = new Map<string, Buffer>();
  readonly #putAt = new Map<string, Date>();
  /** Tells when records are put. */
  now = (): Date => new Date();
  isBroken = false;

  async get(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    await this.#answer(signal);
    return this.records.get(key);
  }

  async put(key: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
    await this.#answer(signal);
    this.records.set(key, bytes);
    this.#putAt.set(key, this.now());
  }

  async modifiedAt(key: string, signal: AbortSignal): Promise<Date | undefined> {
    await this.#answer(signal);
    return this.records.has(key) ? this.#putAt.get(key) : undefined;
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#answer(signal);
    this.records.delete(key);
  }

  async deleteTree(folder: string, signal: AbortSignal): Promise<void> {
    await this.#answer(signal);
    for (const key of this.records.keys()) {
      if (key.startsWith(`${folder}/`)) this.records.delete(key);
    }
  }

  async list(
    folder: string,
    { after = '', limit = Infinity }: ListOptions,
    signal: AbortSignal,
  ): Promise<RecordChild[]> {
    await this.#answer(signal);
    const children = new Map<string, boolean>();
    for (const key of this.records.keys()) {
      if (!key.startsWith(`${folder}/`)) continue;
      const [name = '', ...rest] = key.slice(folder.length + 1).split('/');
      children.set(name, rest.length > 0 || children.get(name) === true);
    }
    return [...children]
      .filter(([name]) => name > after)
      .sort()
      .slice(0, limit)
      .map(([name, isFolder]) => ({ name, isFolder }));
  }

  async #answer(signal: AbortSignal): Promise<void> {
    await Promise.resolve();
    signal.throwIfAborted();
    if (this.isBroken) throw new Error('the store is broken');
  }
}
