/** What a client asks a token for. */
export interface Scope {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** More than any client asks for at once. */
const MAX_SCOPES = 100;
const MAX_NAME_LENGTH = 512;

/**
 * Reads `type[(class)]:name:action[,action]` (distribution, docs/spec/auth/scope.md), several of them separated by spaces
 * in each value. A name may hold colons. What is no scope is left out: who asks for too much gets a smaller token.
 */
export function parseScopes(values: readonly string[]): Scope[] {
  const scopes = new Map<string, Set<string>>();
  for (const text of values.flatMap((value) => value.split(' ')).slice(0, MAX_SCOPES)) {
    const [, type = '', name = '', actions = ''] =
      /^([a-z0-9]+)(?:\([a-z0-9]+\))?:([^\s,]+):([a-z*]+(?:,[a-z*]+)*)$/.exec(text) ?? [];
    if (type === '' || name.length > MAX_NAME_LENGTH) continue;
    const known = scopes.get(`${type}:${name}`) ?? new Set();
    for (const action of actions.split(',')) known.add(action);
    scopes.set(`${type}:${name}`, known);
  }
  return [...scopes].map(([key, actions]) => {
    const colon = key.indexOf(':');
    return { type: key.slice(0, colon), name: key.slice(colon + 1), actions: [...actions] };
  });
}
