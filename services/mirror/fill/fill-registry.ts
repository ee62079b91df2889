import type { Digest } from '../../../shared/oci/digest.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import type { BlobFill } from './blob-fill.ts';

/** A fill under way and the cached repositories that it will be linked into. */
export interface RunningFill {
  readonly fill: BlobFill;
  /** The reader that it was begun for. */
  readonly reader: string;
  /** By reader; each has shown by its own upstream that the blob is its own. May grow while the fill runs. */
  readonly repositories: Map<string, RepositoryName>;
}

/** The fills of this process by digest: while one runs nobody else downloads the same blob. */
export class FillRegistry {
  readonly #running = new Map<Digest, RunningFill>();

  /** How many run. */
  get size(): number {
    return this.#running.size;
  }

  find(digest: Digest): RunningFill | undefined {
    return this.#running.get(digest);
  }

  /** What comes is the repository's own no longer: nobody joins by it, and it gets no link. */
  disown(repository: RepositoryName): void {
    for (const { repositories } of this.#running.values()) {
      for (const [reader, name] of repositories)
        if (name === repository) repositories.delete(reader);
    }
  }

  /** Registers a fill until it has finished. There must be none of this digest. */
  add(digest: Digest, running: RunningFill): void {
    this.#running.set(digest, running);
    void running.fill.finished.finally(() => this.#running.delete(digest));
  }

  /** Resolves when no fill runs any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.all([...this.#running.values()].map(({ fill }) => fill.finished));
    }
  }
}
