interface Stoppable {
  stop(): Promise<unknown>;
}

/** The servers of one group of tests: all that started are stopped, newest first, also when another start failed. */
export class OwnedServers {
  readonly #starts: Promise<Stoppable>[] = [];

  async own<T extends Stoppable>(starting: Promise<T>): Promise<T> {
    this.#starts.push(starting);
    return await starting;
  }

  /** Stops every one, those too that are still starting, whatever fails on the way, and then throws the first failure. */
  async stopAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const starting of this.#starts.splice(0).reverse()) {
      // Whoever started it was told why it could not.
      const server = await starting.catch(() => undefined);
      await server?.stop().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0)
      throw new AggregateError(failures, 'servers that could not be stopped');
  }
}
