import type { z } from 'zod';

import type { ClientOrigin } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { HeaderFields } from '../http/headers.ts';
import type { AuditEvent } from '../observability/audit-log.ts';
import type { Caller } from './caller.ts';

type EndpointMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * Who may call an endpoint at all; what he may there is for the endpoint to ask.
 *
 * - `open`: everybody, and nobody is asked who he is
 * - `reader`: everybody, as who he is
 * - `signed-in`: whoever has credentials
 * - `person`: a person, and not by a password for the command line: what it opens changes rights or makes secrets
 * - `admin`: such a person who is an administrator
 */
export type AccessClass = 'open' | 'reader' | 'signed-in' | 'person' | 'admin';

/** The parameters in braces of a path. */
type ParametersOf<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Readonly<Record<Name, string>> & ParametersOf<Rest>
  : unknown;

/** A request as an endpoint sees it. */
export interface EndpointCall<Parameters, Query, Body> {
  readonly parameters: Parameters;
  readonly query: Query;
  readonly body: Body;
  readonly caller: Caller;
  readonly origin: ClientOrigin;
  readonly cookies: ReadonlyMap<string, string>;
  /** What stands behind the `?`, as it was sent. */
  readonly search: string;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** What a call is about. */
export type AuditSubject = Pick<AuditEvent, 'subject' | 'by' | 'repository' | 'reference'>;

export interface EndpointReply {
  /** Instead of the endpoint's own. */
  readonly status?: number;
  readonly headers?: HeaderFields;
  /** What the endpoint's `reply` describes. */
  readonly value?: unknown;
  /** Of a page, in place of a value. */
  readonly text?: string;
  /** Who proved by the call itself who he is; for the record of who did what. */
  readonly actor?: Identity;
}

/** One line of the table that requests are answered by and the OpenAPI document is made of. */
export interface Endpoint<
  Path extends string = string,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodObject = z.ZodObject,
> {
  readonly method: EndpointMethod;
  /**
   * Segments, of which `{name}` stands for one, percent-encoded. Before a segment `-` it stands for as many as there
   * are: names of repositories have slashes, and no part of one is a hyphen alone.
   */
  readonly path: Path;
  /** Its name in the document; pages have none. */
  readonly id: string;
  readonly summary: string;
  readonly access: AccessClass;
  /** Parameters that it does not name are refused. `any`: those of other programs. */
  readonly query?: Query | 'any';
  readonly body?: Body;
  /** A page of ours: it is not in the document, and its bodies are forms. */
  readonly isPage?: true;
  /** Refuses what pages of other sites ask for, also where nobody is signed in yet. */
  readonly isOwnPageOnly?: true;
  /** Nothing leaves but the fields that it names. */
  readonly reply?: z.ZodType;
  readonly status: number;
  /** What is put down of each call. */
  readonly audit?: {
    readonly action: AuditEvent['action'];
    about(call: EndpointCall<ParametersOf<Path>, z.output<Query>, z.output<Body>>): AuditSubject;
  };
  /** Throws RegistryError. */
  answer(
    call: EndpointCall<ParametersOf<Path>, z.output<Query>, z.output<Body>>,
  ): Promise<EndpointReply>;
}

/** A line of the table: its path, query and body say what its call has. */
export const endpoint = <
  const Path extends string,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodObject = z.ZodObject,
>(
  line: Endpoint<Path, Query, Body>,
): Endpoint => line;
