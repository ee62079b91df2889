import { LRUCache } from 'lru-cache';

import type { Identity } from '../auth/identity.ts';
import {
  type Credentials,
  IdentitySourceError,
  type PasswordSource,
  type PasswordVerdict,
} from '../auth/password-source.ts';
import { matchesSecret } from '../auth/random-secret.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { BriefCache } from '../content/brief-cache.ts';
import { type CliPasswordRecord, type CliPasswords, parseCliPassword } from './cli-passwords.ts';

const USE_NOTED_MS = 3600_000;

export interface CliPasswordSourceDependencies {
  readonly passwords: CliPasswords;
  /** Somebody with what he is today; undefined when he is locked out or gone. */
  readonly findPerson: (id: string, signal: AbortSignal) => Promise<Identity | undefined>;
  readonly clock: Clock;
  /** Ends what is written beside the requests. */
  readonly shutdown: AbortSignal;
}

/** People sign in by passwords they made themselves, as who they are today. A revocation is seen within 30 seconds. */
export class CliPasswordSource implements PasswordSource {
  readonly name = 'cli-password';
  readonly #deps: CliPasswordSourceDependencies;
  readonly #records: BriefCache<CliPasswordRecord>;
  readonly #people: BriefCache<Identity>;
  readonly #noted = new LRUCache<string, number>({ max: 10_000 });

  constructor(deps: CliPasswordSourceDependencies) {
    this.#deps = deps;
    this.#records = new BriefCache(deps.clock, (name, signal) => {
      const [person = '', id = ''] = name.split('/');
      return deps.passwords.find({ person, id }, signal);
    });
    this.#people = new BriefCache(deps.clock, (id, signal) => deps.findPerson(id, signal));
  }

  takesAlone({ password }: Credentials): boolean {
    return parseCliPassword(password) !== undefined;
  }

  /** `unknown` for secrets of another kind. The user name must be the owner's, in any case. */
  async check({ username, password }: Credentials, signal: AbortSignal): Promise<PasswordVerdict> {
    const place = parseCliPassword(password);
    if (!place) return 'unknown';
    try {
      const record = await this.#records.get(`${place.person}/${place.id}`, signal);
      const owner = record && (await this.#people.get(record.ownerId, signal));
      const isRight = matchesSecret(password, record?.secretHash);
      if (!record || !owner || !isRight || !this.#isActive(record)) return 'wrong';
      if (owner.name.toLowerCase() !== username.toLowerCase()) return 'wrong';
      this.#noteUse(place);
      return owner;
    } catch (cause) {
      signal.throwIfAborted();
      throw new IdentitySourceError(this.name, { cause });
    }
  }

  #isActive({ expiresAt }: CliPasswordRecord): boolean {
    return this.#deps.clock.now().getTime() < Date.parse(expiresAt);
  }

  /** Beside the request, and once an hour. */
  #noteUse(place: { readonly person: string; readonly id: string }): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const key = `${place.person}${place.id}`;
    if (nowMs - (this.#noted.get(key) ?? -Infinity) < USE_NOTED_MS) return;
    this.#noted.set(key, nowMs);
    this.#deps.passwords.noteUse(place, this.#deps.shutdown).catch(() => undefined);
  }
}
