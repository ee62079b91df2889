import type { RouteCall } from './answer-route.ts';

/** Paths with parameters in them, beside the distribution API. */
export interface EndpointApi {
  /** Undefined for a path that is none of its own. */
  find(path: string): FoundApi | undefined;
}

interface FoundApi {
  /** Answers the request, and tells how many bytes of a body came. Throws RegistryError. */
  answer(call: RouteCall): Promise<number>;
}
