import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';

import { systemClock } from '../lifecycle/clock.ts';
import { type ManagementApiDependencies, managementEndpoints } from './management-api.ts';

/** Stands for what endpoints are made over; none of them is called here. */
const there = (): never => ({}) as never;

const deps: Partial<ManagementApiDependencies> = {
  clock: systemClock,
  version: 'test',
  usedBytes: () => Promise.resolve(0),
  remove: there(),
  parts: {
    administration: there(),
    creation: 'everyone',
    identities: {
      isByProjects: true,
      users: there(),
      passwordChange: there(),
      cliPasswords: there(),
      people: there(),
      robots: there(),
      web: {
        sessions: there(),
        findPerson: () => Promise.resolve(undefined),
        pages: { origin: 'https://registry.example', isEncrypted: true },
        signIn: there(),
        oidc: { signIn: there(), people: there() },
      },
      onAccountChange: () => undefined,
    },
  },
};
const endpoints = managementEndpoints(deps as ManagementApiDependencies);

/** A path that is not here yet has nobody who thought about who may ask for it. */
const EVERYTHING = `
  DELETE /api/v1/account/cli-passwords/{id} person
  DELETE /api/v1/projects/{project} person
  DELETE /api/v1/projects/{project}/groups/{group} person
  DELETE /api/v1/projects/{project}/members/{member} person
  DELETE /api/v1/projects/{project}/robots/{robot} person
  DELETE /api/v1/repositories/{repository}/-/manifests/{reference} signed-in
  DELETE /api/v1/repositories/{repository}/-/tags/{tag} signed-in
  DELETE /api/v1/session signed-in
  GET /api/v1/account signed-in
  GET /api/v1/account/cli-passwords person
  GET /api/v1/health reader
  GET /api/v1/openapi.json open
  GET /api/v1/people admin
  GET /api/v1/projects reader
  GET /api/v1/projects/{project} reader
  GET /api/v1/projects/{project}/members signed-in
  GET /api/v1/projects/{project}/repositories reader
  GET /api/v1/projects/{project}/robots signed-in
  GET /api/v1/projects/{project}/usage signed-in
  GET /api/v1/repositories/{repository}/-/manifests reader
  GET /api/v1/repositories/{repository}/-/manifests/{reference} reader
  GET /api/v1/repositories/{repository}/-/tags reader
  GET /api/v1/session signed-in
  GET /api/v1/users admin
  GET /api/v1/users/{user} admin
  GET /auth open
  GET /auth/ reader
  GET /auth/oidc/callback open
  GET /auth/oidc/login open
  GET /auth/page.css open
  GET /auth/password open
  GET /auth/passwords open
  GET /auth/sign-in open
  PATCH /api/v1/people/{person} admin
  PATCH /api/v1/projects/{project} person
  PATCH /api/v1/projects/{project}/robots/{robot} person
  PATCH /api/v1/users/{user} admin
  POST /api/v1/account/cli-passwords person
  POST /api/v1/account/password open
  POST /api/v1/projects person
  POST /api/v1/projects/{project}/robots person
  POST /api/v1/projects/{project}/robots/{robot}/secret person
  POST /api/v1/session open
  POST /api/v1/users admin
  POST /auth/password open
  POST /auth/passwords person
  POST /auth/passwords/revoke person
  POST /auth/sign-in open
  POST /auth/sign-out signed-in
  PUT /api/v1/projects/{project}/groups/{group} person
  PUT /api/v1/projects/{project}/members/{member} person
  PUT /api/v1/users/{user}/password admin
`;

describe('the paths beside the distribution API', () => {
  test('are these, each for those whom it is meant for', () => {
    const found = endpoints.map(({ method, path, access }) => `${method} ${path} ${access}`);
    const listed = EVERYTHING.trim().split('\n');
    expect(found.sort()).toEqual(listed.map((line) => line.trim()));
  });

  test('are changed by pages of this server alone where nobody has to be signed in', () => {
    const open = endpoints.filter(({ method, access }) => method !== 'GET' && access === 'open');
    // It proves itself by the password that it changes, and begins no session.
    const others = open.filter(({ isOwnPageOnly }) => !isOwnPageOnly).map(({ id }) => id);
    expect(others).toEqual(['changePassword']);
  });

  test('show no secrets but those that they make', () => {
    const shown = endpoints.flatMap(({ id, reply }) => {
      const text =
        reply === undefined ? '' : JSON.stringify(z.toJSONSchema(reply, { io: 'output' }));
      const names = text.match(/"[a-zA-Z]*(?:secret|password|token|hash)":/gi) ?? [];
      return names.map((name) => `${id} ${name}`);
    });
    expect(shown.sort()).toEqual([
      'addRobot "secret":',
      'getSession "formToken":',
      'makeCliPassword "secret":',
      'rotateRobot "secret":',
      'signIn "formToken":',
    ]);
  });
});
