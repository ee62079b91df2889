import { hash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';

import type { Clock } from '../../lifecycle/clock.ts';
import type { Log } from '../../observability/observer.ts';
import type { Identity } from '../identity.ts';
import { PasswordComparisons } from '../password-hash.ts';
import type {
  Credentials,
  PasswordSource,
  PasswordVerdict,
  StandingIdentity,
} from '../password-source.ts';
import { type HtpasswdUsers, parseHtpasswd } from './parse-htpasswd.ts';

const LOOK_MS = 2_000;
const ID_PREFIX = 'htpasswd:';

export interface HtpasswdOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when users were read anew: whoever was signed in before may be no more. */
  readonly onChange: () => void;
  /** Shared by all sources that compare passwords. */
  readonly comparisons?: PasswordComparisons;
}

/** Users of a file that `htpasswd -B` writes. */
export class HtpasswdSource implements PasswordSource {
  readonly name = 'htpasswd';
  readonly #options: HtpasswdOptions;
  readonly #comparisons: PasswordComparisons;
  #users: HtpasswdUsers = new Map();
  #costliest: string | undefined;
  #seen = '';

  constructor(options: HtpasswdOptions) {
    this.#options = options;
    this.#comparisons = options.comparisons ?? new PasswordComparisons();
  }

  /** Reads the file for the first time. Throws what is wrong with it, in words for the operator. */
  async open(): Promise<void> {
    const { file } = this.#options;
    try {
      this.#seen = await lookOf(file);
      this.#take(parseHtpasswd(await readFile(file, 'utf8')));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`AUTH_HTPASSWD_FILE (${file}): ${reason}`, { cause });
    }
    this.#warnIfNobody();
  }

  /**
   * Looks every two seconds whether the file is another one, until the signal aborts; what cannot be used is told once and
   * changes nothing. Kubernetes swaps a symbolic link, so what counts is the file behind it.
   */
  async run(lifetime: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(LOOK_MS, lifetime).catch(() => undefined);
      if (lifetime.aborted) return;
      await this.reload();
    }
  }

  async reload(): Promise<void> {
    const { file, log, onChange } = this.#options;
    try {
      const look = await lookOf(file).catch((error: unknown) => String(error));
      if (look === this.#seen) return;
      this.#seen = look;
      this.#take(parseHtpasswd(await readFile(file, 'utf8')));
      onChange();
      log.info({ file, users: this.#users.size }, 'the htpasswd file was read again');
      this.#warnIfNobody();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ file, reason }, 'the htpasswd file cannot be used, its last users stay');
    }
  }

  async check(
    { username, password }: Credentials,
    signal: AbortSignal,
    network = '',
  ): Promise<PasswordVerdict> {
    const kept = this.#users.get(username);
    const isRight = await this.#comparisons.matches(
      { password, hash: kept, pretended: this.#costliest },
      { network, signal },
    );
    if (kept === undefined) return 'unknown';
    return isRight ? { ...identityOf(username), stamp: stampOf(kept) } : 'wrong';
  }

  standing(id: string): Promise<StandingIdentity | undefined> {
    const username = id.startsWith(ID_PREFIX) ? id.slice(ID_PREFIX.length) : '';
    const kept = this.#users.get(username);
    return Promise.resolve(
      kept === undefined ? undefined : { identity: identityOf(username), stamp: stampOf(kept) },
    );
  }

  #warnIfNobody(): void {
    const { file, log } = this.#options;
    if (this.#users.size > 0) return;
    log.warn(
      { file },
      'the htpasswd file has no users: nobody can sign in by it until it has some',
    );
  }

  #take(users: HtpasswdUsers): void {
    this.#users = users;
    // The work that a wrong password of a known user most likely costs.
    this.#costliest = [...users.values()].sort((one, other) => costOf(other) - costOf(one))[0];
  }
}

const costOf = (hash: string): number => Number(hash.slice(4, 6));

const stampOf = (kept: string): string => hash('sha256', `htpasswd ${kept}`);

const identityOf = (username: string): Identity => ({
  kind: 'user',
  id: `${ID_PREFIX}${username}`,
  name: username,
  groups: [],
  isAdmin: false,
});

/** Differs when the file does: time, size and inode, since copies may keep the time and edits the size. */
async function lookOf(file: string): Promise<string> {
  const { mtimeMs, size, ino, dev } = await stat(file);
  return `${mtimeMs} ${size} ${ino} ${dev}`;
}
