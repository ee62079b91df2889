import { readdir } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { apiComplaints, apiUnlike, askApi, makeApiCells } from './api-cells.ts';
import { API_OPERATIONS, OF_BROWSERS } from './api-operations.ts';
import { makeAskers, type NamedAsker } from './askers.ts';
import { makeCells } from './cells.ts';
import { TAG } from './contents.ts';
import { complaintsAbout, isStored, KNOWN, listedFor, makeQuestions } from './grants.ts';
import type { Role } from './model.ts';
import { CONTENT } from './names.ts';
import { oddPathComplaints } from './odd-paths.ts';
import { type Registries, startRegistries } from './registries.ts';
import { CellRun, complaint, type Outcome, unlike } from './run-cells.ts';
import { TokenDesk } from './token-desk.ts';

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { operationId: string }>>>>;
}

let registries: Registries;
let desk: TokenDesk;
let askers: readonly NamedAsker[];
let run: CellRun;

beforeAll(async () => {
  registries = await startRegistries();
  desk = new TokenDesk(registries.client);
  askers = makeAskers(registries.accounts, desk.get, registries.key);
  run = new CellRun(registries);
});
afterAll(() => registries.stop());

const SHOWN = 25;
/** The cells that are not as they should be, and how many more there are. */
const told = (complaints: readonly string[]): readonly string[] =>
  complaints.length <= SHOWN
    ? complaints
    : [...complaints.slice(0, SHOWN), `… and ${complaints.length - SHOWN} more`];

describe.each<[Role]>([['push'], ['mirror']])('at the role %s', (role) => {
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
    expect(told(await complaintsAbout(makeQuestions(role), registries))).toEqual([]);
  });

  test('another spelling of a path leads nowhere, for everybody', async () => {
    expect(told(await oddPathComplaints(role, registries))).toEqual([]);
  });

  describe('everybody and everything', () => {
    let outcomes: readonly Outcome[];
    beforeAll(async () => {
      const cells = makeCells(role, askers);
      outcomes = await run.run(cells);
    });

    test('is answered as the documents say', () => {
      expect(outcomes.length).toBeGreaterThan(3_000);
      expect(told(outcomes.flatMap((outcome) => complaint(outcome) ?? []))).toEqual([]);
    });

    test('is refused alike where it is there and where it is not', () => {
      expect(told(unlike(outcomes))).toEqual([]);
    });
  });
});

describe('the management API', () => {
  test('has no operation that is not tried here, or by a browser', async () => {
    const { body } = await registries.client.send('push', {
      method: 'GET',
      path: '/api/v1/openapi.json',
    });
    const { paths } = JSON.parse(body.toString()) as OpenApi;
    const ids = Object.values(paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    const tried = new Set([...API_OPERATIONS.map(({ id }) => id), ...OF_BROWSERS]);
    expect(ids.filter((id) => !tried.has(id))).toEqual([]);
  });

  test('answers everybody and everything as the documents say', async () => {
    const outcomes = await askApi(makeApiCells(askers), registries);
    expect(outcomes.length).toBeGreaterThan(1_500);
    expect(told(apiComplaints(outcomes))).toEqual([]);
    expect(told(apiUnlike(outcomes))).toEqual([]);
  });
});

describe('afterwards', () => {
  test('there are no projects but those that somebody could make', async () => {
    const files = await readdir(path.join(registries.folder, 'twinport', 'v1', 'projects'));
    const names = files.map((file) => file.replace(/\.json$/, ''));
    const made = names.filter((name) => !/^z[0-9a-z]{5}$/.test(name));
    expect(made.sort()).toEqual(['others', 'public', 'secret']);
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
