import { type Piece, RecentBytes } from './recent-bytes.ts';
import type { SharedBlock } from './shared-block.ts';
import { SpooledBody } from './spooled-body.ts';

/** What is gathered for one call of the system: each goes through the thread pool. */
const BATCH_BYTES = 256 * 1024;
/** What may be in memory alone; whoever has more waits for the disk. */
const UNWRITTEN_BYTES = 512 * 1024;

/**
 * A body all of whose bytes stay until the end: its writer never waits for a reader. The last bytes are in memory too,
 * where they are read by whoever keeps up, without waiting for the disk.
 */
export class WholeBody extends SpooledBody {
  readonly firstByte = 0;
  #claimed = 0;
  #written = 0;
  readonly #recent = new RecentBytes();
  /** Never rejects. */
  #writing: Promise<void> | undefined;

  get path(): string | undefined {
    return this.file.path;
  }

  protected get received(): number {
    return this.#claimed;
  }

  append(chunk: Buffer, block?: SharedBlock): Promise<void> | undefined {
    this.#recent.push(chunk, block);
    this.#claimed += chunk.length;
    this.wake();
    const unwrittenBytes = this.#claimed - this.#written;
    if (unwrittenBytes >= BATCH_BYTES) this.#writing ??= this.#writeRecent();
    const isTooMuch = unwrittenBytes >= UNWRITTEN_BYTES;
    return isTooMuch || this.writeFault ? this.#settleWrites() : undefined;
  }

  async flush(): Promise<void> {
    while (this.#written < this.#claimed) {
      this.#writing ??= this.#writeRecent();
      await this.#settleWrites();
    }
  }

  readerMoved(): void {
    // Nobody waits for that.
  }

  protected inMemory(position: number, limit: number): Piece | undefined {
    return this.#recent.at(position, limit);
  }

  protected override async close(): Promise<void> {
    await this.#writing;
    this.#recent.clear();
    await super.close();
  }

  async #settleWrites(): Promise<void> {
    await this.#writing;
    if (this.writeFault) throw this.writeFault;
  }

  /** What is unwritten now; what comes meanwhile is gathered for the next time. */
  async #writeRecent(): Promise<void> {
    const end = this.#claimed;
    try {
      await this.file.append(this.#recent.from(this.#written));
      this.#written = end;
      this.#recent.forget(end);
    } catch (error) {
      this.writeFailed(error);
    }
    this.#writing = undefined;
  }
}
