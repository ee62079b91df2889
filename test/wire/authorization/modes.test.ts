import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { makeAskers, type NamedAsker } from './askers.ts';
import { makeCells } from './cells.ts';
import { complaintText } from './complaint-text.ts';
import { askersOfFile, askersOfIssuer, askersOfPublicFile } from './mode-askers.ts';
import { type AllModes, type ModeRegistries, startAllModes } from './mode-registries.ts';
import { BY_PROJECTS_OF_ADMINS, BY_TOKENS_ALONE, byFile, type Role, type Rules } from './model.ts';
import { type Name, NAMES } from './names.ts';
import { CellRun, complaint, leaks, type Outcome, unlike } from './run-cells.ts';
import { TokenDesk } from './token-desk.ts';

const ROLES: readonly Role[] = ['push', 'mirror'];
const SPELLINGS: Readonly<Record<Role, readonly string[]>> = {
  push: ['public/app', 'secret/app', 'absent/app', 'cached/app', 'passed/app', 'vault/team/app'],
  mirror: [
    'public/app',
    'secret/app',
    'cached/app',
    'passed/app',
    'library/hello',
    'vault/team/app',
  ],
};
const namesAt = (role: Role): readonly Name[] =>
  NAMES[role].filter(({ spelling, ns }) => ns === undefined && SPELLINGS[role].includes(spelling));

let modes: AllModes;

beforeAll(async () => {
  modes = await startAllModes();
});
afterAll(() => modes.stop());

const ask = async (
  registries: ModeRegistries,
  askers: readonly NamedAsker[],
  rules: Rules,
): Promise<readonly Outcome[]> => {
  const run = new CellRun(registries);
  return await run.run(
    askers.flatMap((asker) =>
      ROLES.flatMap((role) => makeCells(role, [asker], rules, namesAt(role))),
    ),
  );
};

/** Right as a whole: the answers, and what they tell of what is there. */
const expectRight = (outcomes: readonly Outcome[]): void => {
  expect(complaintText(outcomes.flatMap((outcome) => complaint(outcome) ?? []))).toEqual([]);
  expect(complaintText(unlike(outcomes))).toEqual([]);
  expect(complaintText(leaks(outcomes))).toEqual([]);
};

const statusOf = async (
  { client }: ModeRegistries,
  path: string,
  { method = 'GET', account, body }: Asked = {},
): Promise<number> => {
  const credentials = account && { authorization: basic(...account) };
  const sent = {
    method,
    path,
    ...(body && {
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
    }),
  };
  return (await client.send('push', sent, credentials)).status;
};
interface Asked {
  readonly method?: string;
  readonly account?: readonly [string, string] | undefined;
  readonly body?: object;
}

describe('where administrators alone make projects', () => {
  const WHO = ['nobody', 'stranger', 'developer', 'root', 'builder'];

  test('a push by anybody else makes none, and everything else is as ever', async () => {
    const { client } = modes.byMode.admins;
    const askers = makeAskers(modes.accounts, new TokenDesk(client).get, undefined)
      .filter(({ who, proof }) => WHO.includes(who) && (proof === 'password' || proof === 'token'))
      .map((asker) => ({ ...asker, isBrief: asker.who !== 'root' }));
    expectRight(await ask(modes.byMode.admins, askers, BY_PROJECTS_OF_ADMINS));
  });

  test('the management API makes one for them alone', async () => {
    const [admins, path] = [modes.byMode.admins, '/api/v1/projects'];
    const make = (who: string): Promise<number> => {
      const account = modes.accounts.get(who);
      return statusOf(admins, path, { method: 'POST', account, body: { name: `z-of-${who}` } });
    };
    expect(await make('nobody')).toBe(401);
    expect(await make('stranger')).toBe(403);
    expect(await make('root')).toBe(201);
  });
});

describe('in the mode htpasswd', () => {
  test('who is in the file may everything and nobody else anything', async () => {
    expectRight(await ask(modes.byMode.file, askersOfFile(), byFile(false)));
  });

  test('everybody pulls with AUTH_ANONYMOUS_PULL, but what accounts of the mirror read', async () => {
    const { get } = new TokenDesk(modes.byMode['public file'].client);
    const outcomes = await ask(modes.byMode['public file'], askersOfPublicFile(get), byFile(true));
    expectRight(outcomes);
  });

  test('the management API is for those in the file', async () => {
    const { file } = modes.byMode;
    const account = ['alice', 'correct horse battery'] as const;
    const body = { name: 'z-of-alice' };
    expect(await statusOf(file, '/api/v1/projects', { method: 'POST', body })).toBe(401);
    expect(await statusOf(file, '/api/v1/projects', { method: 'POST', body, account })).toBe(201);
    for (const path of [
      '/api/v1/users',
      '/api/v1/projects/secret/members',
      '/auth/',
      '/auth/token',
    ])
      expect([path, await statusOf(file, path, { account })]).toEqual([path, 404]);
  });
});

describe('in the mode external', () => {
  test('tokens of the other server do what they say, and nothing else does anything', async () => {
    const { external } = modes.byMode;
    expectRight(await ask(external, askersOfIssuer(modes.issuer), BY_TOKENS_ALONE));
  });

  test('there is no management API and no token service', async () => {
    for (const path of ['/api/v1/projects', '/api/v1/account', '/auth/', '/auth/token']) {
      expect([path, await statusOf(modes.byMode.external, path)]).toEqual([path, 404]);
    }
  });
});
