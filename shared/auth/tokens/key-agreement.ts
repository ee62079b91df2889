import { z } from 'zod';

import type { Clock } from '../../lifecycle/clock.ts';
import type { Log } from '../../observability/observer.ts';
import { signingKeyKey, signingKeysFolder } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { TokenKeys } from './token-keys.ts';

const LOOK_MS = 60_000;
/** Of a process that signs: two of its signs of life may be lost. */
const ALIVE_MS = 4 * LOOK_MS;
/** What nobody has signed by for so long is forgotten. */
const FORGOTTEN_MS = 24 * 3600_000;

const RECORD = z.object({ schemaVersion: z.literal(1), seenAt: z.iso.datetime() });

export interface KeyAgreementOptions {
  readonly keys: Pick<TokenKeys, 'signing' | 'find'>;
  /** Whose tokens these are: a key of the other role is nobody's concern. */
  readonly role: string;
  /** False for keys that lie in the store, where everybody has them. */
  readonly isOwnKey: boolean;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Notices replicas of one role whose tokens this one does not believe: their AUTH_TOKEN_KEY_FILE has another key, and
 * whoever is given a token by the one is refused by the other. Each tells the store by which key it signs. Nobody stops for
 * it: which of the two is wrong neither can know, and a key that leaked must be replaced at once.
 */
export class KeyAgreement {
  readonly #options: KeyAgreementOptions;
  #strangers: readonly string[] = [];

  constructor(options: KeyAgreementOptions) {
    this.#options = options;
  }

  /** Whether there is such a replica, or was one minutes ago. */
  get isBroken(): boolean {
    return this.#strangers.length > 0;
  }

  /** Looks every minute, until the signal aborts. */
  async run(lifetime: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!lifetime.aborted) {
      await this.look(lifetime).catch((error: unknown) => {
        if (!lifetime.aborted) log.debug({ err: error }, 'the keys of other replicas are unknown');
      });
      await clock.sleep(LOOK_MS, lifetime).catch(() => undefined);
    }
  }

  /** Throws StorageError. */
  async look(signal: AbortSignal): Promise<void> {
    const { keys, role, isOwnKey, records, clock, log } = this.#options;
    const now = clock.now();
    if (isOwnKey) {
      const { kid } = await keys.signing();
      const record = { schemaVersion: 1, seenAt: now.toISOString() };
      await records.put(signingKeyKey(role, kid), Buffer.from(JSON.stringify(record)), signal);
    }
    const strangers: string[] = [];
    for (const { name } of await records.list(signingKeysFolder(role), {}, signal)) {
      const kid = name.replace(/\.json$/, '');
      if (await keys.find(kid)) continue;
      const key = signingKeyKey(role, kid);
      const age = now.getTime() - seenAt(await records.get(key, signal));
      if (age < ALIVE_MS) strangers.push(kid);
      else if (age > FORGOTTEN_MS) await records.delete(key, signal);
    }
    if (strangers.length > 0 && !this.isBroken) {
      log.error(
        { keys: strangers, role },
        'a replica signs tokens with a key that this one does not have, and each refuses the tokens of the other: AUTH_TOKEN_KEY_FILE must have the same keys everywhere',
      );
    }
    this.#strangers = strangers;
  }
}

/** In Unix milliseconds; long ago where it cannot be read. */
function seenAt(bytes: Buffer | undefined): number {
  try {
    return bytes ? Date.parse(RECORD.parse(JSON.parse(bytes.toString('utf8'))).seenAt) : 0;
  } catch {
    return 0;
  }
}
