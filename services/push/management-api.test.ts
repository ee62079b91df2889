import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { managementEndpoints } from '../../shared/api/management-api.ts';
import { errorCode, type TestAnswer } from '../../shared/http/testing/http-client.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { type ManagedPush, PASSWORD, startManagedPush } from './testing/start-managed-push.ts';

const MANIFEST = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }),
);
const DIGEST = digestOf(MANIFEST);
const TEAM = '/api/v1/projects/team';

let push: ManagedPush;

const pushImage = async (who: string, name: string, tag = 'v1'): Promise<number> => {
  const pair = push.credentials.get(who) ?? '';
  const { status } = await push.send(`/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    headers: {
      'content-type': MEDIA_TYPES.ociIndex,
      authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
    },
    body: MANIFEST,
  });
  return status;
};

/** In `team` alice is its maintainer, bob a developer, carol a guest; dave is nobody there. */
beforeAll(async () => {
  push = await startManagedPush({
    begin: () => Promise.reject(new Error('nobody signs in there')),
    finish: () => Promise.reject(new Error('nobody signs in there')),
  });
  expect((await push.call('alice', 'POST', '/api/v1/projects', { name: 'team' })).status).toBe(201);
  for (const [who, role] of [
    ['bob', 'developer'],
    ['carol', 'guest'],
  ]) {
    const { status } = await push.call('alice', 'PUT', `${TEAM}/members/local:${who}`, { role });
    expect(status).toBe(204);
  }
});
afterAll(() => push.close());

interface Operation {
  readonly operationId: string;
  readonly 'x-access': string;
}

describe('the OpenAPI document', () => {
  test('has every endpoint with who may call it, and no other', async () => {
    const { status, json } = await push.call('nobody', 'GET', '/api/v1/openapi.json');
    expect(status).toBe(200);
    const { paths } = json as { paths: Record<string, Record<string, Operation>> };
    const lines = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, operation]) => `${operation['x-access']} ${method.toUpperCase()} ${path}`,
      ),
    );
    expect(lines.sort()).toEqual(
      [
        'admin GET /api/v1/users',
        'admin GET /api/v1/users/{user}',
        'admin PATCH /api/v1/users/{user}',
        'admin POST /api/v1/users',
        'admin PUT /api/v1/users/{user}/password',
        'open GET /api/v1/openapi.json',
        'open POST /api/v1/account/password',
        'open POST /api/v1/session',
        'person DELETE /api/v1/account/cli-passwords/{id}',
        'person DELETE /api/v1/projects/{project}',
        'person DELETE /api/v1/projects/{project}/groups/{group}',
        'person DELETE /api/v1/projects/{project}/members/{member}',
        'person DELETE /api/v1/projects/{project}/robots/{robot}',
        'person GET /api/v1/account/cli-passwords',
        'person PATCH /api/v1/projects/{project}',
        'person PATCH /api/v1/projects/{project}/robots/{robot}',
        'person POST /api/v1/account/cli-passwords',
        'person POST /api/v1/projects',
        'person POST /api/v1/projects/{project}/robots',
        'person POST /api/v1/projects/{project}/robots/{robot}/secret',
        'person PUT /api/v1/projects/{project}/groups/{group}',
        'person PUT /api/v1/projects/{project}/members/{member}',
        'reader GET /api/v1/health',
        'reader GET /api/v1/projects',
        'reader GET /api/v1/projects/{project}',
        'reader GET /api/v1/projects/{project}/repositories',
        'reader GET /api/v1/repositories/{repository}/-/manifests',
        'reader GET /api/v1/repositories/{repository}/-/manifests/{reference}',
        'reader GET /api/v1/repositories/{repository}/-/tags',
        'signed-in DELETE /api/v1/repositories/{repository}/-/manifests/{reference}',
        'signed-in DELETE /api/v1/repositories/{repository}/-/tags/{tag}',
        'signed-in DELETE /api/v1/session',
        'signed-in GET /api/v1/account',
        'signed-in GET /api/v1/projects/{project}/members',
        'signed-in GET /api/v1/projects/{project}/robots',
        'signed-in GET /api/v1/projects/{project}/usage',
        'signed-in GET /api/v1/session',
      ].sort(),
    );
  });

  test('is of the version that tools read, with schemas that end at their fields', async () => {
    const { json } = await push.call('nobody', 'GET', '/api/v1/openapi.json');
    expect(json).toMatchObject({
      openapi: '3.1.0',
      paths: {
        '/api/v1/projects': {
          post: {
            requestBody: {
              content: { 'application/json': { schema: { additionalProperties: false } } },
            },
          },
        },
      },
    });
    const operations = Object.values(
      (json as { paths: Record<string, Record<string, Operation>> }).paths,
    ).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(new Set(operations).size).toBe(operations.length);
  });

  test('shows secrets where they are made and nowhere else', async () => {
    const { json } = await push.call('nobody', 'GET', '/api/v1/openapi.json');
    const { paths } = json as { paths: Record<string, Record<string, Operation>> };
    const secretive = Object.values(paths).flatMap((methods) =>
      Object.values(methods)
        .filter((operation) => {
          const { responses } = operation as unknown as { responses: unknown };
          return /"[a-z]*(?:secret|hash|password)[a-z]*":/i.test(
            JSON.stringify(responses).replaceAll('"cliPasswords":', ''),
          );
        })
        .map(({ operationId }) => operationId),
    );
    expect(secretive.sort()).toEqual(['addRobot', 'makeCliPassword', 'rotateRobot']);
  });
});
