import { StorageError } from './errors.ts';
import type { RecordStore } from './record-store.ts';

/** A value that the first process makes and keeps in a record of its own. */
export interface MadeOnce {
  readonly key: string;
  /** Names it in faults. */
  readonly operation: string;
  /** The record's field that has it. */
  readonly field: string;
  readonly pattern: RegExp;
  readonly make: () => string;
}

/**
 * What the store keeps, made when it has none. Two processes that make it at once may differ until they read it again.
 * Throws StorageError, also for a record that cannot be read.
 */
export async function readMadeOnce(
  records: RecordStore,
  value: MadeOnce,
  signal: AbortSignal,
): Promise<string> {
  const { key, operation, field, make } = value;
  const found = await records.get(key, signal);
  if (found) return requireValue(found, value);
  const made = { schemaVersion: 1, [field]: make() };
  await records.put(key, Buffer.from(JSON.stringify(made)), signal);
  const kept = await records.get(key, signal);
  if (!kept) throw new StorageError(operation, `${key} vanished`);
  return requireValue(kept, value);
}

function requireValue(bytes: Buffer, { key, operation, field, pattern }: MadeOnce): string {
  let found: unknown;
  try {
    found = (JSON.parse(bytes.toString('utf8')) as Record<string, unknown> | null)?.[field];
  } catch {
    found = undefined;
  }
  if (typeof found !== 'string' || !pattern.test(found)) {
    throw new StorageError(operation, `${key} cannot be read`);
  }
  return found;
}
