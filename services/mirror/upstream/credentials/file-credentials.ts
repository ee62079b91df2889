import { readFile } from 'node:fs/promises';

import type { Credentials, CredentialSource } from './credential-source.ts';

/** Nobody's password is longer. */
const MAX_BYTES = 64 * 1024;

/** A password in a file, read each time it is needed: a mounted secret changes under a running process. */
export class FileCredentials implements CredentialSource {
  readonly name: string;
  readonly #username: string;
  readonly #path: string;
  #problem: string | undefined;

  constructor(name: string, username: string, path: string) {
    this.name = name;
    this.#username = username;
    this.#path = path;
  }

  async current(signal: AbortSignal): Promise<Credentials | undefined> {
    let content: string;
    try {
      content = await readFile(this.#path, { encoding: 'utf8', signal });
    } catch {
      signal.throwIfAborted();
      this.#problem = `the file ${this.#path} cannot be read`;
      return undefined;
    }
    const password = content.replace(/\r?\n$/, '');
    const isUsable = password !== '' && password.length <= MAX_BYTES;
    this.#problem = isUsable ? undefined : `the file ${this.#path} holds no password`;
    return isUsable ? { username: this.#username, password } : undefined;
  }

  refused(): void {
    // The next question reads the file anyway.
  }

  problem(): string | undefined {
    return this.#problem;
  }
}
