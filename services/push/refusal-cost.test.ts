import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { BasicAuthenticator } from '../../shared/auth/basic-authenticator.ts';
import { SignIn } from '../../shared/auth/sign-in.ts';
import { ClientOrigins } from '../../shared/http/client-origin.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { ManualClock } from '../../shared/index/testing/manual-clock.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { startPush, type TestPush } from './testing/start-push.ts';

const clock = new ManualClock();
/** What the store was asked for, in order. */
const asked: string[] = [];
const counting = (records: RecordStore): RecordStore => ({
  get: (key, signal) => {
    asked.push(`get ${key}`);
    return records.get(key, signal);
  },
  list: (folder, options, signal) => {
    asked.push(`list ${folder}`);
    return records.list(folder, options, signal);
  },
  modifiedAt: (key, signal) => records.modifiedAt(key, signal),
  put: (key, bytes, signal) => records.put(key, bytes, signal),
  delete: (key, signal) => records.delete(key, signal),
  deleteTree: (folder, signal) => records.deleteTree(folder, signal),
});

let push: TestPush;
beforeAll(async () => {
  push = await startPush({
    over: (store) => {
      const records = counting(store.records);
      return {
        records,
        // Time stands still: what is read again after a while is read for neither of two names.
        clock,
        index: createStoreIndex(records, clock),
        identities: {
          authenticator: new BasicAuthenticator(new SignIn([]), 'test'),
          origins: new ClientOrigins({ trustedProxies: [], allowsInsecure: true }),
        },
        projectRights: {
          creation: 'everyone',
          visibility: 'private',
          robotRights: () => Promise.resolve(undefined),
        },
      };
    },
  });
  for (const name of ['secret', 'hidden']) {
    const project = {
      schemaVersion: 1,
      name,
      createdAt: '2026-01-01T00:00:00.000Z',
      visibility: 'private',
    } as const;
    await push.store.index.projects.put(project, unending);
  }
  // What is the same for all names is read now.
  await push.send('/v2/local/first/app/tags/list');
});
afterAll(() => push.close());

/** How many answers of the store a refusal waits for. */
async function costOf(name: string, method: string): Promise<number> {
  asked.length = 0;
  const { status } = await push.send(`/v2/${name}/manifests/v1`, { method });
  expect(status).toBe(401);
  return asked.length;
}

test.each([
  ['secret/app', 'absent/app', 'GET'],
  ['local/hidden/app', 'local/nowhere/app', 'HEAD'],
])(
  'to be refused takes as long for %s, which is private, as for %s, which is not there',
  async (there, absent, method) => {
    for (let time = 0; time < 3; time += 1) {
      expect(await costOf(there, method)).toBe(await costOf(absent, method));
    }
  },
);

test('whoever was let in a moment ago is not refused for what was read before', async () => {
  const { projects } = push.store.index;
  const record = await projects.get('secret', unending);
  await projects.put({ ...record!, visibility: 'public' }, unending);
  expect((await push.send('/v2/secret/app/manifests/v1')).status).toBe(404);
});
