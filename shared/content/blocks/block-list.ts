import { within } from '../../concurrency/within.ts';
import type { Clock } from '../../lifecycle/clock.ts';
import { type RegistryError, registryError } from '../../oci/errors.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import { DENIED, type PatternRecord, PatternRecords } from '../pattern-records.ts';
import { PolledView } from '../polled-view.ts';
import { isMeant, type Referred } from '../reference-pattern.ts';
import { withPut } from '../../storage/with-put.ts';

/** How old the list may be while the store answers. */
export const BLOCKS_AGE_MS = 5_000;
/** How long a request waits for a store that does not answer, when it has a list already. */
const PATIENCE_MS = 1_000;

/** What operators have blocked, by `twinport block`. */
export class BlockList {
  readonly #clock: Clock;
  readonly #view: PolledView<readonly PatternRecord[]>;

  constructor(records: RecordStore, clock: Clock, lifetime: AbortSignal) {
    const stored = new PatternRecords(records, DENIED);
    this.#clock = clock;
    this.#view = new PolledView({
      load: (signal) => stored.list(signal),
      clock,
      maxAgeMs: BLOCKS_AGE_MS,
      lifetime,
    });
  }

  async isEmpty(signal: AbortSignal): Promise<boolean> {
    return (await this.#blocks(signal)).length === 0;
  }

  /** Throws DENIED with the reason when what is known of the content so far is blocked. */
  async refuse(content: Referred, signal: AbortSignal): Promise<void> {
    const error = await this.blockOf(content, signal);
    if (error) throw error;
  }

  /** What `refuse` throws; undefined for what is not blocked as far as it is known. */
  async blockOf(content: Referred, signal: AbortSignal): Promise<RegistryError | undefined> {
    const block = (await this.#blocks(signal)).find(({ pattern }) => isMeant(pattern, content));
    return block && denied(block);
  }

  /** As the store, but it takes no bytes of a digest that is blocked everywhere. */
  guarding(blobs: BlobStore): BlobStore {
    return withPut(blobs, async (digest, body, size, signal) => {
      const block = (await this.#blocks(signal)).find(
        ({ pattern }) => pattern.digest === digest && !pattern.name,
      );
      if (block) throw denied(block);
      return await blobs.put(digest, body, size, signal);
    });
  }

  /** While the store does not tell, what it told last counts. */
  async #blocks(signal: AbortSignal): Promise<readonly PatternRecord[]> {
    const known = this.#view.peek();
    if (known) return known.value;
    const reading = this.#view.get(signal);
    const { last } = this.#view;
    if (!last) return (await reading).value;
    try {
      return ((await within(reading, PATIENCE_MS, this.#clock)) ?? last).value;
    } catch (error) {
      if (signal.aborted) throw error;
      return last.value;
    }
  }
}

function denied({ pattern, reason }: PatternRecord): RegistryError {
  return registryError('DENIED', {
    message: `blocked by the operator of this registry${reason === undefined ? '' : `: ${reason}`}`,
    detail: { blocked: pattern.text },
  });
}
