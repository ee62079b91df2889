interface Call {
  readonly type: 'call';
  /** Absent: nobody waits for an answer. */
  readonly id?: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Answer {
  readonly type: 'answer';
  readonly id: number;
  readonly value?: unknown;
  /** Present when the call failed. */
  readonly problem?: string;
}

/** What goes over the channel between two processes of one program. */
export type PeerMessage = Call | Answer;

/** What a process can be asked, by name. */
type Calls = Readonly<Record<string, (argument: never) => unknown>>;

/**
 * Calls between this process and another one of the same program, both ways over one channel. The other side is the
 * same program, so what it says is not checked. A call rejects when the other side failed or is gone.
 */
export class Peer<Theirs extends Calls> {
  readonly #send: (message: PeerMessage) => void;
  readonly #ours: Calls;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;
  #end: Error | undefined;

  /** `ours` answers the other side. */
  constructor(send: (message: PeerMessage) => void, ours: Calls) {
    this.#send = send;
    this.#ours = ours;
  }

  async call<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): Promise<Awaited<ReturnType<Theirs[Name]>>> {
    if (this.#end) throw this.#end;
    const id = (this.#lastId += 1);
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    try {
      this.#send({ type: 'call', id, name, argument });
      return (await answer.promise) as Awaited<ReturnType<Theirs[Name]>>;
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** A call whose outcome nobody waits for. */
  tell<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): void {
    if (!this.#end) this.#send({ type: 'call', name, argument });
  }

  /** Takes what arrived. Never rejects. */
  async receive(message: PeerMessage): Promise<void> {
    if (message.type === 'answer') {
      const { id, value, problem } = message;
      if (problem === undefined) this.#waiting.get(id)?.resolve(value);
      else this.#waiting.get(id)?.reject(new Error(problem));
      return;
    }
    const { id } = message;
    const outcome = await this.#answer(message);
    if (id !== undefined && !this.#end) this.#send({ type: 'answer', id, ...outcome });
  }

  /** The other side is gone: whoever waits for it learns the reason. Idempotent. */
  close(reason: string): void {
    this.#end ??= new Error(reason);
    for (const { reject } of this.#waiting.values()) reject(this.#end);
  }

  async #answer({ name, argument }: Call): Promise<Pick<Answer, 'value' | 'problem'>> {
    try {
      return { value: await this.#ours[name]?.(argument as never) };
    } catch (error) {
      return { problem: error instanceof Error ? error.message : String(error) };
    }
  }
}
