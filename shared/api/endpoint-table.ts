import type { Endpoint } from './endpoint.ts';

/** What a path was found to be. */
export interface FoundEndpoint {
  /** By method. */
  readonly byMethod: ReadonlyMap<string, Endpoint>;
  /** As they stand in the path, percent-encoding undone. */
  readonly parameters: Readonly<Record<string, string>>;
}

interface Entry {
  readonly segments: readonly string[];
  readonly byMethod: Map<string, Endpoint>;
}

const PARAMETER = /^\{([a-zA-Z]+)\}$/;
/** Stands behind names of several segments. */
const SEPARATOR = '-';

/** The endpoints by their paths. Throws when two have the same method and path. */
export class EndpointTable {
  readonly endpoints: readonly Endpoint[];
  readonly #entries: Entry[] = [];

  constructor(endpoints: readonly Endpoint[]) {
    this.endpoints = endpoints;
    const byPath = new Map<string, Entry>();
    for (const endpoint of endpoints) {
      const { path, method } = endpoint;
      const entry = byPath.get(path) ?? { segments: path.split('/'), byMethod: new Map() };
      if (entry.byMethod.has(method)) throw new Error(`${method} ${path} is there twice`);
      entry.byMethod.set(method, endpoint);
      byPath.set(path, entry);
    }
    this.#entries = [...byPath.values()];
  }

  /** Undefined for a path that is none of ours, or whose encoding is none. */
  find(path: string): FoundEndpoint | undefined {
    const segments = path.split('/');
    for (const { segments: pattern, byMethod } of this.#entries) {
      const parameters = matched(pattern, segments);
      if (parameters) return { byMethod, parameters };
    }
    return undefined;
  }
}

function matched(
  pattern: readonly string[],
  path: readonly string[],
): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  let at = 0;
  for (const [index, part] of pattern.entries()) {
    const name = PARAMETER.exec(part)?.[1];
    if (name === undefined) {
      if (path[at] !== part) return undefined;
      at += 1;
      continue;
    }
    const end = pattern[index + 1] === SEPARATOR ? path.indexOf(SEPARATOR, at) : at + 1;
    const value = end > at && end <= path.length ? decoded(path.slice(at, end)) : undefined;
    if (value === undefined) return undefined;
    parameters[name] = value;
    at = end;
  }
  return at === path.length ? parameters : undefined;
}

function decoded(segments: readonly string[]): string | undefined {
  if (segments.includes('')) return undefined;
  try {
    return segments.map((segment) => decodeURIComponent(segment)).join('/');
  } catch {
    return undefined;
  }
}
