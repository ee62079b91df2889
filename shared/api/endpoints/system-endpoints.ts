import { z } from 'zod';

import type { Readiness } from '../../observability/health.ts';
import { identityOf } from '../caller.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { openApiDocument } from '../openapi-document.ts';

export interface SystemEndpointsDependencies {
  readonly version: string;
  readonly role: 'push' | 'mirror';
  readonly readiness: () => Promise<Readiness>;
}

/** `/api/v1/health` */
export const healthEndpoint = ({
  version,
  role,
  readiness,
}: SystemEndpointsDependencies): Endpoint =>
  endpoint({
    method: 'GET',
    path: '/api/v1/health',
    id: 'getHealth',
    summary: 'Whether this role can serve; administrators also see what is wrong beside that',
    access: 'reader',
    reply: z.object({
      role: z.enum(['push', 'mirror']),
      isReady: z.boolean(),
      state: z.string(),
      version: z.string().exactOptional(),
      degraded: z.array(z.string()).exactOptional(),
    }),
    status: 200,
    answer: async ({ caller }) => {
      const { isReady, state, degraded } = await readiness();
      const isTold = caller.kind === 'everybody' || identityOf(caller)?.isAdmin === true;
      return {
        status: isReady ? 200 : 503,
        value: { role, isReady, state, ...(isTold && { version, degraded: [...degraded] }) },
      };
    },
  });

/** `/api/v1/openapi.json`, of these endpoints and itself. */
export function documentEndpoint(endpoints: readonly Endpoint[], version: string): Endpoint {
  const line: Endpoint = endpoint({
    method: 'GET',
    path: '/api/v1/openapi.json',
    id: 'getDocument',
    summary: 'This document',
    access: 'open',
    reply: z.looseObject({ openapi: z.string() }),
    status: 200,
    answer: () => {
      document ??= openApiDocument([...endpoints, line], version);
      return Promise.resolve({ value: document });
    },
  });
  let document: object | undefined;
  return line;
}
