import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import bcrypt from 'bcrypt';

import { makeSecret } from '../../shared/auth/random-secret.ts';
import type { SignIn } from '../../shared/auth/sign-in.ts';
import { htpasswdLines } from '../../shared/auth/testing/htpasswd-lines.ts';
import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { RecordedEdge } from '../../shared/http/testing/recorded-edge.ts';
import { ProcessHints } from '../../shared/index/store/process-hints.ts';
import { ProcessLeases } from '../../shared/index/store/process-leases.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { Robots } from '../../shared/management/robots.ts';
import { Users } from '../../shared/management/users.ts';
import { FilesystemExclusiveRecords } from '../../shared/storage/filesystem/filesystem-exclusive-records.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { openIdentities } from './open-identities.ts';

const end = new AbortController();
let store: TempStore;
let signIn: SignIn;
let asked = 0;

/** The same store, whose answers are counted. */
const counting = (records: RecordStore): RecordStore => ({
  get: (key, signal) => {
    asked += 1;
    return records.get(key, signal);
  },
  list: (folder, options, signal) => {
    asked += 1;
    return records.list(folder, options, signal);
  },
  modifiedAt: (key, signal) => records.modifiedAt(key, signal),
  put: (key, bytes, signal) => records.put(key, bytes, signal),
  delete: (key, signal) => records.delete(key, signal),
  deleteTree: (folder, signal) => records.deleteTree(folder, signal),
});

beforeAll(async () => {
  store = await createTempStore();
  const exclusive = new FilesystemExclusiveRecords(store.folder);
  const leases = new ProcessLeases(systemClock);
  const deps = { records: store.records, exclusive, leases, clock: systemClock };
  // Kept as the registry keeps them: what a comparison costs stands in the hash.
  const users = new Users(deps);
  for (const name of ['alice', 'locked', 'fresh']) {
    const mustChange = name === 'fresh';
    await users.add({ name, password: 'correct horse', isAdmin: false, mustChange }, unending);
  }
  await users.setDisabled('locked', true, unending);
  const project = {
    schemaVersion: 1,
    name: 'team',
    createdAt: '2026-01-01T00:00:00.000Z',
  } as const;
  const robot = {
    name: 'ci',
    actions: ['pull'],
    expiresAt: undefined,
    createdBy: undefined,
  } as const;
  await new Robots(deps).add(project, robot, unending);
  const htpasswdFile = path.join(store.folder, 'users');
  await writeFile(htpasswdFile, await htpasswdLines({ harry: 'of the file' }));
  const opened = await openIdentities(
    {
      mode: 'token',
      htpasswdFile,
      ldap: undefined,
      oidc: undefined,
      workloadIssuers: [],
      projectCreation: 'everyone',
      projectVisibility: 'private',
      tokens: {
        keyFile: undefined,
        realm: undefined,
        service: 'twinport',
        issuer: 'twinport',
        lifeSeconds: 300,
        refreshSeconds: 3600,
      },
      trustedProxies: [],
      allowsInsecure: false,
      basicRealm: 'Twinport',
    },
    {
      role: 'push',
      records: counting(store.records),
      exclusive,
      shared: { hints: new ProcessHints(systemClock), leases },
      audit: undefined,
      announce: () => undefined,
      clock: systemClock,
      log: new RecordedEdge().log,
      lifetime: end.signal,
    },
  );
  signIn = opened.tokens!.signIn;
});
afterAll(async () => {
  end.abort();
  await store.remove();
});
afterEach(() => {
  jest.restoreAllMocks();
});

let attempts = 0;
/** How often the store is asked, and the costs of the comparisons; each attempt from an address of its own. */
async function costOf(username: string, password: string): Promise<unknown> {
  const compare = jest.spyOn(bcrypt, 'compare');
  compare.mockClear();
  asked = 0;
  attempts += 1;
  const origin = { address: `192.0.2.${attempts}`, isSafe: true, baseUrl: 'https://x.example' };
  const verdict = await signIn.check({ username, password }, origin, unending);
  expect(typeof verdict).toBe('string');
  return { asked, compared: compare.mock.calls.map(([, kept]) => kept.slice(4, 6)) };
}

test('a wrong password costs the same for everybody, and as much as a name that nobody has (T-EN1)', async () => {
  const cost = await costOf('nobody', 'a wrong password');
  expect(cost).toEqual({ asked: expect.any(Number) as unknown, compared: ['12', '04'] });
  for (const name of ['alice', 'locked', 'fresh', 'harry', 'another-nobody', 'n@body.example']) {
    expect([name, await costOf(name, 'a wrong password')]).toEqual([name, cost]);
  }
  // What no name may look like is not looked up, and tells nothing of anybody.
  expect(await costOf('*)(uid=*', 'a wrong password')).toMatchObject({ compared: ['12', '04'] });
  // Nor does it tell that the right one was found under a lock.
  for (const name of ['locked', 'fresh']) {
    expect([name, await costOf(name, 'correct horse')]).toEqual([name, cost]);
  }
});

test('a wrong secret of a robot costs as much as one of a robot that is not there (T-EN1)', async () => {
  const cost = await costOf('robot$team+ci', makeSecret());
  expect(cost).toMatchObject({ compared: [] });
  for (const name of ['robot$team+none', 'robot$nowhere+ci']) {
    expect([name, await costOf(name, makeSecret())]).toEqual([name, cost]);
  }
});
