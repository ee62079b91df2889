/** Too many wait already: come again later. */
export class NoTurnError extends Error {
  override readonly name = 'NoTurnError';

  constructor() {
    super('too many are waiting already');
  }
}

export interface FairTurnsOptions {
  /** So many at once. */
  readonly running: number;
  /** So many at once of one group; by default one group may have all turns while nobody else wants one. */
  readonly runningEach?: number;
  /** So many in line; whoever comes then is turned away at once. */
  readonly waiting: number;
  /** So many in line of one group. */
  readonly waitingEach: number;
}

interface Group {
  running: number;
  readonly line: Waiting[];
}

interface Waiting {
  begin(): void;
}

/** A few at once, and those in line by turns of their groups: a group with many in line holds up no other. */
export class FairTurns {
  readonly #options: FairTurnsOptions;
  /** Those that run or wait; whose turn is next comes first. */
  readonly #groups = new Map<string, Group>();
  #running = 0;
  #waiting = 0;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
  }

  /**
   * Does the work when its turn comes. Throws NoTurnError when the line is full, and the signal's reason when it aborts
   * before the turn has come; work that has begun is the signal's no more.
   */
  async run<Value>(group: string, signal: AbortSignal, work: () => Promise<Value>): Promise<Value> {
    signal.throwIfAborted();
    const own = this.#groups.get(group) ?? { running: 0, line: [] };
    this.#groups.set(group, own);
    try {
      if (this.#mayRun(own)) this.#begin(own);
      else await this.#wait(own, signal);
      try {
        return await work();
      } finally {
        own.running -= 1;
        this.#running -= 1;
        this.#handOn();
      }
    } finally {
      if (own.running === 0 && own.line.length === 0) this.#groups.delete(group);
    }
  }

  #mayRun({ running }: Group): boolean {
    const { running: all, runningEach: each = all } = this.#options;
    return this.#running < all && running < each;
  }

  #begin(group: Group): void {
    group.running += 1;
    this.#running += 1;
  }

  async #wait(group: Group, signal: AbortSignal): Promise<void> {
    const { waiting, waitingEach } = this.#options;
    if (this.#waiting >= waiting || group.line.length >= waitingEach) throw new NoTurnError();
    const turn = Promise.withResolvers<undefined>();
    const place: Waiting = { begin: () => turn.resolve(undefined) };
    const leave = (): void => {
      const index = group.line.indexOf(place);
      // Whoever's turn has come already has it.
      if (index < 0) return;
      group.line.splice(index, 1);
      this.#waiting -= 1;
      turn.reject(signal.reason as Error);
    };
    group.line.push(place);
    this.#waiting += 1;
    signal.addEventListener('abort', leave, { once: true });
    try {
      await turn.promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Gives what is free to the groups in line, one turn to each. */
  #handOn(): void {
    let given = true;
    while (given && this.#waiting > 0 && this.#running < this.#options.running) {
      given = false;
      for (const [name, group] of [...this.#groups]) {
        if (group.line.length === 0 || !this.#mayRun(group)) continue;
        this.#groups.delete(name);
        this.#groups.set(name, group);
        this.#waiting -= 1;
        this.#begin(group);
        group.line.shift()?.begin();
        given = true;
      }
    }
  }
}
