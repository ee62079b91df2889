import type { ListOptions, RecordChild, RecordStore } from '../../shared/storage/record-store.ts';

export type RecordOperation = 'get' | 'modifiedAt' | 'put' | 'delete' | 'deleteTree' | 'list';

/** A place at which the next matching operation waits. */
export interface Gate {
  /** Resolves when the operation stands there. */
  readonly reached: Promise<void>;
  /** Lets it pass; afterwards the gate is gone. */
  release(): void;
}

interface PlacedGate extends Gate {
  readonly side: 'before' | 'after';
  readonly operation: RecordOperation;
  readonly part: string;
  pass(): Promise<void>;
}

/** A record store that does what the one below does, stops where a test says, and counts. */
export class GatedRecordStore implements RecordStore {
  /** Every operation that began, as `<operation> <key>`. */
  readonly operations: string[] = [];
  readonly #inner: RecordStore;
  readonly #gates = new Set<PlacedGate>();
  readonly #failing: { readonly operation: RecordOperation; readonly part: string }[] = [];

  constructor(inner: RecordStore) {
    this.#inner = inner;
  }

  /** The next operation on a key that contains `part` waits before or after it reaches the store. */
  gate(side: 'before' | 'after', operation: RecordOperation, part: string): Gate {
    const reached = Promise.withResolvers<undefined>();
    const released = Promise.withResolvers<undefined>();
    const gate: PlacedGate = {
      side,
      operation,
      part,
      reached: reached.promise,
      release: () => {
        this.#gates.delete(gate);
        released.resolve(undefined);
      },
      pass: async () => {
        // One operation alone waits here.
        this.#gates.delete(gate);
        reached.resolve(undefined);
        await released.promise;
      },
    };
    this.#gates.add(gate);
    return gate;
  }

  /** Every operation on a key that contains `part` fails from now on. */
  fail(operation: RecordOperation, part: string): void {
    this.#failing.push({ operation, part });
  }

  get(key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    return this.#run('get', key, () => this.#inner.get(key, signal));
  }

  modifiedAt(key: string, signal: AbortSignal): Promise<Date | undefined> {
    return this.#run('modifiedAt', key, () => this.#inner.modifiedAt(key, signal));
  }

  put(key: string, bytes: Buffer, signal: AbortSignal): Promise<void> {
    return this.#run('put', key, () => this.#inner.put(key, bytes, signal));
  }

  delete(key: string, signal: AbortSignal): Promise<void> {
    return this.#run('delete', key, () => this.#inner.delete(key, signal));
  }

  deleteTree(folder: string, signal: AbortSignal): Promise<void> {
    return this.#run('deleteTree', folder, () => this.#inner.deleteTree(folder, signal));
  }

  list(folder: string, options: ListOptions, signal: AbortSignal): Promise<RecordChild[]> {
    return this.#run('list', folder, () => this.#inner.list(folder, options, signal));
  }

  async #run<T>(operation: RecordOperation, key: string, work: () => Promise<T>): Promise<T> {
    this.operations.push(`${operation} ${key}`);
    await this.#pass('before', operation, key);
    if (this.#failing.some((rule) => rule.operation === operation && key.includes(rule.part))) {
      throw new Error(`the test lets ${operation} ${key} fail`);
    }
    const result = await work();
    await this.#pass('after', operation, key);
    return result;
  }

  async #pass(side: 'before' | 'after', operation: RecordOperation, key: string): Promise<void> {
    for (const gate of this.#gates) {
      if (gate.side === side && gate.operation === operation && key.includes(gate.part)) {
        await gate.pass();
        return;
      }
    }
  }
}
