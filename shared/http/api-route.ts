import type { Access } from '../auth/access.ts';
import type { Operation } from '../observability/observer.ts';

/** A question that a route of our own API answers. */
interface ApiQuestion {
  readonly query: URLSearchParams;
  /** Rights are for the route to ask for. */
  readonly allows: (access: Access) => Promise<boolean>;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** A path of our own API beside `/v2/`, for GET and HEAD. */
export interface ApiRoute {
  /** As it is counted and logged. */
  readonly operation: Operation;
  /** What is answered as JSON. Throws RegistryError. */
  readonly answer: (question: ApiQuestion) => Promise<unknown>;
}

/** By path. */
export type ApiRoutes = ReadonlyMap<string, ApiRoute>;
