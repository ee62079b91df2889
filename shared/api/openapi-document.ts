import { z } from 'zod';

import { withoutField } from '../management/without-field.ts';
import type { Endpoint } from './endpoint.ts';

type Json = Readonly<Record<string, unknown>>;

const ERRORS = {
  type: 'object',
  required: ['errors'],
  properties: {
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['code', 'message'],
        properties: { code: { type: 'string' }, message: { type: 'string' }, detail: {} },
      },
    },
  },
} as const;

/** The OpenAPI 3.1 document of the endpoints, made of what they check and answer with. Pages are not in it. */
export function openApiDocument(endpoints: readonly Endpoint[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const endpoint of endpoints) {
    if (endpoint.isPage) continue;
    paths[endpoint.path] = {
      ...paths[endpoint.path],
      [endpoint.method.toLowerCase()]: operationOf(endpoint),
    };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Twinport management API', version },
    paths,
    components: {
      schemas: { Errors: ERRORS },
      securitySchemes: {
        password: { type: 'http', scheme: 'basic' },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: '__Host-twinport-session',
          description:
            'Changes need the header X-Twinport-Form with the form token of GET /api/v1/session.',
        },
      },
    },
  };
}

function operationOf(endpoint: Endpoint): Json {
  const { id, summary, access, status, body, reply } = endpoint;
  return {
    operationId: id,
    summary,
    'x-access': access,
    security: securityOf(endpoint),
    parameters: [...pathParameters(endpoint), ...queryParameters(endpoint)],
    ...(body && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: schemaOf(body.strict(), 'input') } },
      },
    }),
    responses: {
      [status]: {
        description: summary,
        ...(reply && { content: { 'application/json': { schema: schemaOf(reply, 'output') } } }),
      },
      default: {
        description: 'An error',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Errors' } } },
      },
    },
  };
}

function securityOf({ access }: Endpoint): readonly Json[] {
  if (access === 'open') return [];
  const ways = [{ password: [] }, { session: [] }];
  return access === 'reader' ? [{}, ...ways] : ways;
}

const pathParameters = ({ path }: Endpoint): readonly Json[] =>
  [...path.matchAll(/\{([a-zA-Z]+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));

function queryParameters({ query }: Endpoint): readonly Json[] {
  if (query === undefined || query === 'any') return [];
  return Object.entries(query.shape as Readonly<Record<string, z.ZodType>>).map(
    ([name, field]) => ({
      name,
      in: 'query',
      required: !field.safeParse(undefined).success,
      schema: schemaOf(field, 'input'),
    }),
  );
}

function schemaOf(schema: z.core.$ZodType, io: 'input' | 'output'): Json {
  return withoutField(z.toJSONSchema(schema, { io }), '$schema');
}
