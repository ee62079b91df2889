import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** A collection takes about a millisecond; below 64 MiB V8 does not yet begin one of the whole heap. */
const COLLECT_EVERY_BYTES = 16 * 1024 * 1024;

type CollectYoung = (options: { readonly type: 'minor' }) => void;

let freshBytes = 0;
let collectYoung: CollectYoung | undefined;

/**
 * Told of the bytes that Node's HTTP parser has copied into fresh memory. V8 counts such memory against the whole heap
 * and would mark all of it for every few dozen megabytes that pass through; nearly all is garbage at once, so that
 * collecting the young objects alone, in time, frees it for a fiftieth of that. Measured in docs/benchmarks.md.
 */
export function noteFreshBytes(count: number): void {
  freshBytes += count;
  if (freshBytes < COLLECT_EVERY_BYTES) return;
  freshBytes = 0;
  collectYoung ??= exposeCollector();
  collectYoung({ type: 'minor' });
}

/** The flag gives `gc` to contexts that are made after it: the program's own stays without. */
function exposeCollector(): CollectYoung {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as CollectYoung;
}
