import type { SharedHints } from '../ports.ts';
import { hintKey } from './redis-keys.ts';
import { GET_HINT, PUT_HINT } from './redis-scripts.ts';
import type { RedisScope } from './redis-scope.ts';

/** Hints in Redis; while it is not reachable, those that this process was given itself. */
export class RedisHints implements SharedHints {
  readonly #inner: SharedHints;
  readonly #scope: RedisScope;

  constructor(inner: SharedHints, scope: RedisScope) {
    this.#inner = inner;
    this.#scope = scope;
  }

  async get(name: string): Promise<string | undefined> {
    const { session, storeId } = this.#scope;
    if (session && storeId !== undefined) {
      const answer = await session.run('hint.get', GET_HINT, [hintKey(storeId, name)], []);
      if (answer) return typeof answer.value === 'string' ? answer.value : undefined;
    }
    return await this.#inner.get(name);
  }

  async put(name: string, value: string, ttlMs: number): Promise<void> {
    await this.#inner.put(name, value, ttlMs);
    const { session, storeId } = this.#scope;
    if (!session || storeId === undefined || ttlMs <= 0) return;
    const args = [value, Math.ceil(ttlMs)];
    await session.run('hint.put', PUT_HINT, [hintKey(storeId, name)], args);
  }
}
