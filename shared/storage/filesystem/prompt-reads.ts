import { closeSync, openSync, readSync } from 'node:fs';

import { isAbsence } from './filesystem-errors.ts';
import { PromptCalls } from './prompt-calls.ts';

/** What was read: the bytes, nothing where nothing is, or that it should be read by other means. */
export type PromptRead = { readonly bytes: Buffer | undefined } | 'not now';

/** Reads small files in place, on the event loop, where and while that is quick (see PromptCalls). */
export class PromptReads {
  readonly #scratch: Buffer;
  readonly #calls = new PromptCalls();

  /** Files of `maxBytes` and more are left to others. */
  constructor(maxBytes: number) {
    this.#scratch = Buffer.allocUnsafeSlow(maxBytes);
  }

  /** Finds out whether the folder allows it; until then nothing is read in place. */
  async prepare(root: string): Promise<void> {
    await this.#calls.prepare(root);
  }

  /** Throws what the system says. */
  read(path: string): PromptRead {
    if (!this.#calls.arePrompt) return 'not now';
    try {
      return this.#calls.make(() => this.#read(path));
    } catch (error) {
      if (isAbsence(error)) return { bytes: undefined };
      throw error;
    }
  }

  #read(path: string): PromptRead {
    const file = openSync(path, 'r');
    try {
      const bytes = readSync(file, this.#scratch, 0, this.#scratch.length, 0);
      if (bytes === this.#scratch.length) return 'not now';
      return { bytes: Buffer.from(this.#scratch.subarray(0, bytes)) };
    } finally {
      closeSync(file);
    }
  }
}
