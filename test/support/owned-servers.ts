interface Stoppable {
  stop(): Promise<unknown>;
}

/** The servers of one group of tests: all that started are stopped, newest first, also when a later start failed. */
export class OwnedServers {
  readonly #running: Stoppable[] = [];

  async own<T extends Stoppable>(starting: Promise<T>): Promise<T> {
    const server = await starting;
    this.#running.push(server);
    return server;
  }

  /** Stops every one, whatever fails on the way, and then throws the first failure. */
  async stopAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const server of this.#running.splice(0).reverse()) {
      await server.stop().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0)
      throw new AggregateError(failures, 'servers that could not be stopped');
  }
}
