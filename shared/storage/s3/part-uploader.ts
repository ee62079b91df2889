import type { AssembledPart } from './part-assembler.ts';
import { type StoredPart, uploadPart } from './multipart-upload.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { S3StorageError } from './s3-errors.ts';

/** Of one upload: with the one that is being gathered it holds three parts in memory at most. */
const PARTS_IN_FLIGHT = 2;

export interface PartUploaderOptions {
  readonly operation: string;
  readonly key: string;
  /** Called once, before the first part: begins the multipart upload and resolves to its id. */
  readonly begin: () => Promise<string>;
  /** Called when the store has a part, or has failed to take it: its block is free. */
  readonly onReleased: (part: AssembledPart) => void;
  readonly signal: AbortSignal;
}

/**
 * Sends parts of one multipart upload, a few at a time, in turn with those of other uploads. Faults never surface as unhandled rejections: the first one is
 * kept and thrown at the next `add` and at `finish`.
 */
export class PartUploader {
  readonly #bucket: S3Bucket;
  readonly #options: PartUploaderOptions;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #stored: StoredPart[] = [];
  #uploadId: string | undefined;
  #fault: { readonly error: unknown } | undefined;

  constructor(bucket: S3Bucket, options: PartUploaderOptions) {
    this.#bucket = bucket;
    this.#options = options;
  }

  get hasFailed(): boolean {
    return this.#fault !== undefined;
  }

  /** Resolves when the part is on its way and another one may be gathered. */
  async add(part: AssembledPart): Promise<void> {
    this.#throwFault();
    this.#uploadId ??= await this.#options.begin();
    while (this.#inFlight.size >= PARTS_IN_FLIGHT) await Promise.race(this.#inFlight);
    this.#throwFault();
    const uploadId = this.#uploadId;
    const { sent } = await this.#bucket.parts.begin(() => this.#send(uploadId, part));
    const sending = sent.finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
  }

  /** Resolves when nothing is in flight any more, whatever became of it. */
  async settle(): Promise<void> {
    await Promise.all(this.#inFlight);
  }

  /** Waits for all parts; throws when one failed. In order of their numbers. */
  async finish(): Promise<StoredPart[]> {
    await this.settle();
    this.#throwFault();
    return this.#sorted();
  }

  /** The parts from `first` on without a gap, once settled. */
  unbroken(first: number): StoredPart[] {
    const sorted = this.#sorted();
    const gap = sorted.findIndex((part, i) => part.n !== first + i);
    return gap < 0 ? sorted : sorted.slice(0, gap);
  }

  #sorted(): StoredPart[] {
    return this.#stored.toSorted((a, b) => a.n - b.n);
  }

  #throwFault(): void {
    if (this.#fault !== undefined) throw this.#fault.error;
  }

  async #send(uploadId: string, part: AssembledPart): Promise<void> {
    const { operation, key, signal, onReleased } = this.#options;
    try {
      const stored = await uploadPart(this.#bucket, operation, { key, uploadId }, part, signal);
      if (stored === undefined) {
        throw new S3StorageError(operation, `${key}: the multipart upload is gone`, true);
      }
      this.#stored.push(stored);
    } catch (error) {
      this.#fault ??= { error };
    } finally {
      onReleased(part);
    }
  }
}
