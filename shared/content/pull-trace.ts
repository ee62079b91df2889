/**
 * HIT      from the store; nothing was asked, or the upstream confirmed it
 * MISS     the upstream was asked for the bytes
 * STALE    from the store, because the upstream could not confirm it
 * JOINED   another client had asked for the same already
 * BYPASS   passed through from the upstream; nothing is kept
 */
export type CacheOutcome = 'HIT' | 'MISS' | 'STALE' | 'JOINED' | 'BYPASS';

/** How one pull was served. */
export interface ServedFrom {
  readonly cache: CacheOutcome;
  /** Project of the upstream whose content it is. */
  readonly upstream: string;
  /** Since the upstream last confirmed what was served; undefined where that says nothing (content by digest). */
  readonly ageSeconds?: number | undefined;
}

/** Goes with one request to whoever serves it, and comes back with how that was done. */
export class PullTrace {
  #servedFrom: ServedFrom | undefined;

  /** Undefined for content that was pushed here. */
  get servedFrom(): ServedFrom | undefined {
    return this.#servedFrom;
  }

  note(servedFrom: ServedFrom): void {
    this.#servedFrom = servedFrom;
  }
}
