import { describe, expect, test } from '@jest/globals';

import type { ProjectRecord } from '../index/ports.ts';
import { StoreProjectIndex } from '../index/store/store-project-index.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { BELIEVED_MS } from '../content/brief-cache.ts';
import { RobotAccounts } from './robot-accounts.ts';
import { formatRobotName, parseRobotName, Robots } from './robots.ts';
import { type TestManagement, testManagement } from './testing/test-management.ts';

const team: ProjectRecord = {
  schemaVersion: 1,
  name: 'team',
  createdAt: '2026-01-01T00:00:00.000Z',
  id: 'id-of-team',
};
const CI = { project: 'team', name: 'ci' };
const DAY_MS = 24 * 3600 * 1000;

interface Bench extends TestManagement {
  readonly robots: Robots;
  readonly accounts: RobotAccounts;
  readonly check: (username: string, password: string) => Promise<unknown>;
}

function newBench(): Bench {
  const management = testManagement();
  const robots = new Robots(management);
  const accounts = new RobotAccounts({ robots, clock: management.clock, shutdown: unending });
  return {
    ...management,
    robots,
    accounts,
    check: (username, password) => accounts.check({ username, password }, unending),
  };
}

const add = (robots: Robots, more = {}): Promise<string> =>
  robots.add(
    team,
    { name: 'ci', actions: ['pull', 'push'], expiresAt: undefined, createdBy: undefined, ...more },
    unending,
  );

describe('robots', () => {
  test('stay as they are while their project gets another name: what was copied would be as before', async () => {
    const { robots, records } = newBench();
    await add(robots);
    const projects = new StoreProjectIndex(records);
    await projects.put({ ...team, closed: true, renamedTo: 'ours' }, unending);
    for (const change of [
      () => robots.rotate(CI, unending),
      () => robots.setDisabled(CI, true, unending),
      () => robots.remove(CI, unending),
      () => add(robots, { name: 'other' }),
    ]) {
      await expect(change()).rejects.toMatchObject({ code: 'DENIED' });
    }
    expect(await robots.drop(CI, unending)).toBe(true);
  });

  test('sign in by the secret that was shown once, which is kept nowhere', async () => {
    const { robots, records, check, accounts } = newBench();
    const secret = await add(robots);
    expect(secret).toMatch(/^twp_[A-Za-z0-9_-]{43}$/);
    expect(await check('robot$team+ci', secret)).toEqual({
      kind: 'robot',
      id: 'robot:team+ci',
      name: 'robot$team+ci',
      groups: [],
      isAdmin: false,
      stamp: expect.any(String),
    });
    expect(await accounts.rightsOf('robot:team+ci', unending)).toEqual({
      project: 'team',
      projectId: 'id-of-team',
      actions: ['pull', 'push'],
    });
    for (const bytes of records.records.values()) expect(bytes.toString()).not.toContain(secret);
  });

  test('are answered alike for a wrong secret, a wrong name and a wrong project', async () => {
    const { robots, check } = newBench();
    const secret = await add(robots);
    expect(await check('robot$team+ci', `${secret}x`)).toBe('wrong');
    expect(await check('robot$team+other', secret)).toBe('wrong');
    expect(await check('robot$other+ci', secret)).toBe('wrong');
  });

  test('leave names that are not theirs to other sources', async () => {
    const { check } = newBench();
    for (const name of ['alice', 'robot', 'robot$team', 'robot$te/am+ci', 'robot$../x+ci']) {
      expect(await check(name, 'x')).toBe('unknown');
    }
  });

  test('have no way in after they are disabled, and no rights within 30 seconds', async () => {
    const { robots, accounts, clock, check } = newBench();
    const secret = await add(robots);
    await check('robot$team+ci', secret);
    expect(await accounts.rightsOf('robot:team+ci', unending)).toBeDefined();
    await robots.setDisabled(CI, true, unending);
    expect(await check('robot$team+ci', secret)).toBe('wrong');
    clock.advance(BELIEVED_MS);
    expect(await accounts.rightsOf('robot:team+ci', unending)).toBeUndefined();
  });

  test('lose everything at the moment when they expire', async () => {
    const { robots, accounts, clock, check } = newBench();
    const expiresAt = new Date(clock.now().getTime() + DAY_MS);
    const secret = await add(robots, { expiresAt });
    clock.advance(DAY_MS - 1);
    expect(await check('robot$team+ci', secret)).toMatchObject({ kind: 'robot' });
    clock.advance(1);
    expect(await check('robot$team+ci', secret)).toBe('wrong');
    expect(await accounts.rightsOf('robot:team+ci', unending)).toBeUndefined();
  });

  test('use a rotated secret at once, and the one before no more', async () => {
    const { robots, check } = newBench();
    const before = await add(robots);
    await check('robot$team+ci', before);
    const after = await robots.rotate(CI, unending);
    expect(await check('robot$team+ci', after)).toMatchObject({ kind: 'robot' });
    expect(await check('robot$team+ci', before)).toBe('wrong');
  });

  test('are gone when they are removed, and another of the name has another secret', async () => {
    const { robots, check } = newBench();
    const before = await add(robots);
    await expect(add(robots)).rejects.toMatchObject({ code: 'DENIED' });
    expect(await robots.remove(CI, unending)).toBe(true);
    expect(await robots.remove(CI, unending)).toBe(false);
    expect(await check('robot$team+ci', before)).toBe('wrong');
    const again = await add(robots);
    expect(await check('robot$team+ci', before)).toBe('wrong');
    expect(await check('robot$team+ci', again)).toMatchObject({ kind: 'robot' });
  });

  test('stand as they are today, by a stamp that changes with the secret', async () => {
    const { robots, accounts } = newBench();
    await add(robots);
    const before = await accounts.standing('robot:team+ci', unending);
    expect(before?.identity).toMatchObject({ kind: 'robot', name: 'robot$team+ci' });
    await robots.rotate(CI, unending);
    expect((await accounts.standing('robot:team+ci', unending))?.stamp).not.toBe(before?.stamp);
    await robots.setDisabled(CI, true, unending);
    for (const id of ['robot:team+ci', 'robot:team+other', 'local:team+ci', 'robot:']) {
      expect(await accounts.standing(id, unending)).toBeUndefined();
    }
  });

  test('show when they signed in last, written once a minute at most', async () => {
    const { robots, clock, check } = newBench();
    const secret = await add(robots);
    expect(await robots.lastUse(CI, unending)).toBeUndefined();
    await check('robot$team+ci', 'wrong');
    expect(await robots.lastUse(CI, unending)).toBeUndefined();
    await check('robot$team+ci', secret);
    const first = await robots.lastUse(CI, unending);
    expect(first).toEqual(clock.now());
    clock.advance(59_000);
    await check('robot$team+ci', secret);
    expect(await robots.lastUse(CI, unending)).toEqual(first);
    clock.advance(1_000);
    await check('robot$team+ci', secret);
    expect(await robots.lastUse(CI, unending)).toEqual(clock.now());
    expect((await robots.list('team', unending)).map(({ name }) => name)).toEqual(['ci']);
  });

  test('have a user name that is read back as it was written', () => {
    expect(parseRobotName(formatRobotName(CI))).toEqual(CI);
  });
});
