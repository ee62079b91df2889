import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';

import type { JWK } from 'jose';

import type { Clock } from '../../lifecycle/clock.ts';
import type { Log } from '../../observability/observer.ts';
import {
  keyId,
  publicKeyOf,
  publishedKey,
  requireTokenKey,
  type SigningKey,
  type TokenKeys,
} from './token-keys.ts';

const LOOK_MS = 2_000;

interface FileKeys {
  readonly signing: SigningKey;
  readonly believed: ReadonlyMap<string, KeyObject>;
}

/**
 * Keys of a PEM file: the first private key signs, every key that stands in it is believed. Read again when the file
 * changes; one that cannot be used is logged and changes nothing.
 */
export class KeyFile implements TokenKeys {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #keys: FileKeys;
  #seen: string;
  #lookedAtMs: number;

  private constructor(file: string, clock: Clock, log: Log, keys: FileKeys, seen: string) {
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
    this.#keys = keys;
    this.#seen = seen;
    this.#lookedAtMs = clock.monotonicMs();
  }

  /** Rejects with a reason that can be shown. */
  static async open(file: string, clock: Clock, log: Log): Promise<KeyFile> {
    try {
      return new KeyFile(
        file,
        clock,
        log,
        parseKeys(await readFile(file, 'utf8')),
        await lookOf(file),
      );
    } catch (cause) {
      throw new Error(`AUTH_TOKEN_KEY_FILE (${file}) cannot be used`, { cause });
    }
  }

  async signing(): Promise<SigningKey> {
    await this.#reload();
    return this.#keys.signing;
  }

  async find(kid: string): Promise<KeyObject | undefined> {
    await this.#reload();
    return this.#keys.believed.get(kid);
  }

  async published(): Promise<readonly JWK[]> {
    await this.#reload();
    return [...this.#keys.believed].map(([kid, key]) => publishedKey(kid, key));
  }

  async #reload(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lookedAtMs < LOOK_MS) return;
    this.#lookedAtMs = nowMs;
    try {
      const look = await lookOf(this.#file).catch((error: unknown) => String(error));
      if (look === this.#seen) return;
      this.#seen = look;
      this.#keys = parseKeys(await readFile(this.#file, 'utf8'));
      this.#log.info({ file: this.#file }, 'the keys of tokens were read again');
    } catch (error) {
      const fields = { file: this.#file, err: error };
      this.#log.error(fields, 'the keys of tokens cannot be used, the last ones stay');
    }
  }
}

async function lookOf(file: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(file);
  return `${mtimeMs} ${size} ${ino}`;
}

/** Throws for a file without a private key, or with one of another kind. */
function parseKeys(pem: string): FileKeys {
  const blocks = pem.match(/-----BEGIN ([A-Z ]*KEY)-----[^]*?-----END \1-----/g) ?? [];
  const keys = blocks.map((block) => {
    const isPublic = block.startsWith('-----BEGIN PUBLIC');
    return requireTokenKey(isPublic ? createPublicKey(block) : createPrivateKey(block));
  });
  const privateKey = keys.find(({ type }) => type === 'private');
  if (!privateKey) throw new Error('it has no private key');
  return {
    signing: { kid: keyId(privateKey), privateKey },
    believed: new Map(keys.map((key) => [keyId(key), publicKeyOf(key)])),
  };
}
