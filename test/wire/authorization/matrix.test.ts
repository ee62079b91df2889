import { readdir } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { apiComplaints, apiUnlike, askApi, makeApiCells } from './api-cells.ts';
import { API_OPERATIONS, AT_MIRROR, OF_BROWSERS } from './api-operations.ts';
import { makeAskers, type NamedAsker } from './askers.ts';
import { makeCells } from './cells.ts';
import { complaintText } from './complaint-text.ts';
import { TAG } from './contents.ts';
import { complaintsAbout, isStored, KNOWN, listedFor, makeQuestions } from './grants.ts';
import type { Role } from './model.ts';
import { CONTENT } from './names.ts';
import { oddPathComplaints } from './odd-paths.ts';
import { type Registries, startRegistries } from './registries.ts';
import { CellRun, complaint, leaks, type Outcome, unlike } from './run-cells.ts';
import { TokenDesk } from './token-desk.ts';

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
}
interface OpenApiOperation {
  readonly operationId: string;
  readonly 'x-access': string;
}

let registries: Registries;
let desk: TokenDesk;
let askers: readonly NamedAsker[];
let run: CellRun;

beforeAll(async () => {
  registries = await startRegistries();
  desk = new TokenDesk(registries.client);
  askers = makeAskers(registries.accounts, desk.get, registries);
  run = new CellRun(registries);
});
afterAll(() => registries.stop());

const ROLES: readonly Role[] = ['push', 'mirror'];

describe.each(ROLES)('at the role %s', (role) => {
  describe('a list of repositories', () => {
    const listed = async (credentials: Record<string, string>): Promise<unknown> => {
      const sent = { method: 'GET', path: '/v2/_catalog?n=1000' };
      const { body } = await registries.client.send(role, sent, credentials);
      const { repositories } = JSON.parse(body.toString()) as { repositories: string[] };
      return repositories.filter(isStored);
    };

    test.each(KNOWN)('shows %s what he may pull and nothing else', async (who) => {
      const account = registries.accounts.get(who);
      const token = await desk.get(role, account, ['registry:catalog:*']);
      expect(await listed({ authorization: `Bearer ${token}` })).toEqual(listedFor(who, role));
      const password: Record<string, string> = account ? { authorization: basic(...account) } : {};
      expect(await listed(password)).toEqual(listedFor(who, role));
    });
  });

  test('tokens say what the documents say', async () => {
    expect(complaintText(await complaintsAbout(makeQuestions(role), registries))).toEqual([]);
  });

  test('another spelling of a path leads nowhere, for everybody', async () => {
    expect(complaintText(await oddPathComplaints(role, registries))).toEqual([]);
  });
});

describe('everybody and everything', () => {
  let outcomes: readonly Outcome[];
  beforeAll(async () => {
    // Both roles at once, and each asker's requests together: those with one wrong password are one attempt.
    const cells = askers.flatMap((asker) => ROLES.flatMap((role) => makeCells(role, [asker])));
    outcomes = await run.run(cells);
  });
  const at = (role: Role): readonly Outcome[] => outcomes.filter(({ cell }) => cell.role === role);

  describe.each(ROLES)('at the role %s', (role) => {
    test('is answered as the documents say', () => {
      expect(at(role).length).toBeGreaterThan(3_000);
      expect(complaintText(at(role).flatMap((outcome) => complaint(outcome) ?? []))).toEqual([]);
    });

    test('is refused alike where it is there and where it is not', () => {
      expect(complaintText(unlike(at(role)))).toEqual([]);
    });

    test('is shown nothing of what was not asked for, or may not be read', () => {
      expect(complaintText(leaks(at(role)))).toEqual([]);
    });
  });
});

describe('the management API', () => {
  const documented = async (role: Role): Promise<readonly string[]> => {
    const sent = { method: 'GET', path: '/api/v1/openapi.json' };
    const { body } = await registries.client.send(role, sent);
    const { paths } = JSON.parse(body.toString()) as OpenApi;
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    return operations.map(({ operationId, 'x-access': access }) => `${operationId}: ${access}`);
  };
  const listed = (operations: typeof OF_BROWSERS): readonly string[] => [
    ...new Set(operations.map(([id, access]) => `${id}: ${access}`)),
  ];

  test('has no operation that is not tried here, or by a browser, and none for others', async () => {
    const tried = API_OPERATIONS.map(({ id, access }) => [id, access] as const);
    expect((await documented('push')).toSorted()).toEqual(
      listed([...tried, ...OF_BROWSERS]).toSorted(),
    );
    expect((await documented('mirror')).toSorted()).toEqual(listed(AT_MIRROR).toSorted());
  });

  test('answers everybody and everything as the documents say', async () => {
    const outcomes = await askApi(makeApiCells(askers), registries);
    expect(outcomes.length).toBeGreaterThan(1_500);
    expect(complaintText(apiComplaints(outcomes))).toEqual([]);
    expect(complaintText(apiUnlike(outcomes))).toEqual([]);
  });
});

describe('afterwards', () => {
  test('there are no projects but those that somebody could make', async () => {
    const files = await readdir(path.join(registries.folder, 'twinport', 'v1', 'projects'));
    const names = files.map((file) => file.replace(/\.json$/, ''));
    const made = names.filter((name) => !/^z[0-9a-z]{5}$/.test(name));
    expect(made.sort()).toEqual(['cached', 'others', 'passed', 'public', 'secret']);
  });

  test.each(['public', 'secret', 'others'] as const)(
    '%s has what it had, and nothing of the others',
    async (project) => {
      const { manifest, layer } = CONTENT[project];
      const get = (rest: string) =>
        registries.asRoot({ method: 'GET', path: `/v2/${project}/app/${rest}` });
      expect((await get(`manifests/${TAG}`)).body).toEqual(manifest.bytes);
      expect((await get(`blobs/${layer.digest}`)).body).toEqual(layer.bytes);
      for (const other of Object.values(CONTENT)) {
        if (other === CONTENT[project]) continue;
        expect((await get(`blobs/${other.layer.digest}`)).status).toBe(404);
        expect((await get(`manifests/${other.manifest.digest}`)).status).toBe(404);
      }
    },
  );
});
