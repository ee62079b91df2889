import { formatJsonRecord, requireJsonRecord } from '../index/store/json-record.ts';
import type { RecordStore } from '../storage/record-store.ts';
import type { RecordPlace, Revised } from './versioned-records.ts';

/** Records that stand as JSON under a key of their own, read from the store each time. */
export function recordPlace<Value extends Revised>(
  records: RecordStore,
  {
    kind,
    schema,
    key,
  }: Pick<RecordPlace<Value>, 'kind' | 'schema'> & { readonly key: (name: string) => string },
): RecordPlace<Value> {
  return {
    kind,
    schema,
    get: async (name, signal) => {
      const bytes = await records.get(key(name), signal);
      return bytes && requireJsonRecord(bytes, schema, key(name));
    },
    put: (name, value, signal) => records.put(key(name), formatJsonRecord(value), signal),
    remove: (name, signal) => records.delete(key(name), signal),
  };
}
