import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ManualClock } from '../index/testing/manual-clock.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { Projects } from './projects.ts';
import { PushNames } from './push-names.ts';
import { createTempStore, type TempStore } from './testing/temp-store.ts';
import { publishUpstreams, UpstreamConflictError, UpstreamTable } from './upstream-table.ts';

const hub = { project: 'mirror', url: 'https://registry-1.docker.io', hosts: ['docker.io'] };
const signal = new AbortController().signal;

let store: TempStore;
let ending: AbortController;

beforeEach(async () => {
  store = await createTempStore();
  ending = new AbortController();
});
afterEach(async () => {
  ending.abort();
  await store.remove();
});

function pushNames(isDottedReserved = true): PushNames {
  const projects = new Projects({ ...store.index, records: store.records, clock: systemClock });
  const upstreams = new UpstreamTable(store.records, [hub], systemClock);
  return new PushNames(projects, upstreams, { isDottedReserved }, systemClock);
}

const push = (name: string, names = pushNames()): Promise<unknown> =>
  names.requirePushable(parseRepositoryName(name)!, signal);

describe('PushNames', () => {
  test.each([
    'library/hello',
    'library',
    'local/app',
    'mirror/app',
    'docker.io/app',
    'my.host/app',
  ])('refuses %s with a reason', async (name) => {
    await expect(push(name)).rejects.toMatchObject({
      code: 'DENIED',
      status: 403,
      message: expect.stringContaining(name.split('/')[0]!) as unknown,
    });
    expect(await store.index.projects.list(signal)).toEqual([]);
  });

  test('makes the project of a free name, once', async () => {
    await Promise.all([push('team/app'), push('team/other'), push('team')]);
    expect((await store.index.projects.list(signal)).map((project) => project.name)).toEqual([
      'team',
    ]);
  });

  test('refuses a first part that is too long for a project', async () => {
    await expect(push(`${'a'.repeat(245)}/app`)).rejects.toMatchObject({ code: 'NAME_INVALID' });
  });

  test('accepts a dotted name when those are not reserved', async () => {
    await push('my.host/app', pushNames(false));
    expect(await store.index.projects.get('my.host', signal)).toBeDefined();
  });

  test('refuses the names of an upstream that a mirror has published', async () => {
    const quay = { project: 'quay', url: 'https://quay.io', hosts: ['quay.io'] };
    await publishUpstreams(store.records, [quay], systemClock, ending.signal);
    await expect(push('quay/app')).rejects.toMatchObject({ code: 'DENIED' });
  });

  test.each(['library/old', 'mirror/old', 'docker.io/old'])(
    'keeps %s pushable when another registry already holds it',
    async (name) => {
      const digest = digestOf(Buffer.from('x'));
      await store.index.members.add(parseRepositoryName(name)!, 'manifest', digest, signal);
      await expect(push(name)).resolves.toMatchObject({ adopted: true });
    },
  );
});

describe('publishUpstreams', () => {
  test('refuses another URL for the project of a running mirror, until that one ends', async () => {
    const withdraw = await publishUpstreams(store.records, [hub], systemClock, ending.signal);
    const other = { ...hub, url: 'https://hub.example' };
    const next = new AbortController();
    await expect(
      publishUpstreams(store.records, [other], systemClock, next.signal),
    ).rejects.toBeInstanceOf(UpstreamConflictError);
    ending.abort();
    await withdraw();
    const withdrawOther = await publishUpstreams(store.records, [other], systemClock, next.signal);
    const table = new UpstreamTable(store.records, [hub], systemClock);
    expect(await table.entries(signal)).toEqual([other]);
    next.abort();
    await withdrawOther();
  });

  test('sees what people change of a project within 30 seconds, however often it is asked for', async () => {
    const clock = new ManualClock();
    const projects = new Projects({ ...store.index, records: store.records, clock });
    const record = await projects.ensure('busy', signal);
    await store.index.projects.put({ ...record, closed: true }, signal);
    for (let seconds = 0; seconds < 29; seconds += 1) {
      clock.advance(1_000);
      await projects.find('busy', signal);
    }
    clock.advance(1_000);
    expect(await projects.find('busy', signal)).toMatchObject({ closed: true });
    await store.index.projects.remove('busy', signal);
    clock.advance(30_000);
    expect(await projects.find('busy', signal)).toBeUndefined();
  });
});
