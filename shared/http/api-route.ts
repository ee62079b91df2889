import type { Access, Principal } from '../auth/access.ts';
import type { SignedRequest } from '../auth/authenticator.ts';
import type { Operation } from '../observability/observer.ts';
import type { HeaderFields } from './headers.ts';

interface QuestionBase {
  readonly method: string;
  readonly query: URLSearchParams;
  /** All of the body. Throws RegistryError (413) when it has more bytes. */
  readonly readBody: (maxBytes: number) => Promise<Buffer>;
  readonly contentType: string | undefined;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** A question that a route of our own API answers. */
interface ApiQuestion extends QuestionBase {
  readonly principal: Principal;
  /** Rights are for the route to ask for. */
  readonly allows: (access: Access) => Promise<boolean>;
  /** Throws the refusal where one of them is not allowed. */
  readonly demand: (asked: readonly Access[]) => Promise<void>;
}

/** A question of somebody whom the route asks itself who he is. */
interface OpenQuestion extends QuestionBase {
  readonly request: SignedRequest;
}

interface RouteBase {
  /** As it is counted and logged. */
  readonly operation: Operation;
  /** GET and HEAD unless it is said. */
  readonly methods?: readonly string[];
  readonly headers?: HeaderFields;
}

/** A path of our own API beside `/v2/`. */
export interface ApiRoute extends RouteBase {
  /** What is answered as JSON. Throws RegistryError. */
  readonly answer: (question: ApiQuestion) => Promise<unknown>;
}

/** A path that is answered before anybody is signed in. */
export interface OpenRoute extends RouteBase {
  /** What is answered as JSON. Throws RegistryError. */
  readonly answerAnybody: (question: OpenQuestion) => Promise<unknown>;
}

/** By path. */
export type ApiRoutes = ReadonlyMap<string, ApiRoute | OpenRoute>;
