import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import type { ProjectRecord } from '../index/ports.ts';
import { ManualClock } from '../index/testing/manual-clock.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { Projects } from './projects.ts';
import { PushNames } from './push-names.ts';
import { createTempStore, type TempStore } from './testing/temp-store.ts';
import { UpstreamTable } from './upstream-table.ts';

const APP = parseRepositoryName('team/app')!;

describe('A project that is closed', () => {
  let clock: ManualClock;
  let store: TempStore;
  let names: PushNames;
  let team: ProjectRecord;

  beforeEach(async () => {
    clock = new ManualClock();
    store = await createTempStore();
    const projects = new Projects({ ...store.index, records: store.records, clock });
    const table = new UpstreamTable(store.records, [], clock);
    names = new PushNames(projects, table, { isDottedReserved: true }, clock);
    team = await names.requirePushable(APP, unending, { id: 'local:alice', visibility: 'private' });
  });
  afterEach(() => store.remove());

  const change = (more: Partial<ProjectRecord>): Promise<void> =>
    store.index.projects.put({ ...team, ...more }, unending);

  test('takes what was begun before, when it is written at once', async () => {
    await names.whileOpen(APP, unending, () => change({ closed: true }));
  });

  test('has not taken what was written when it may have been looked through already', async () => {
    const late = async (): Promise<void> => {
      await change({ closed: true });
      clock.advance(2_000);
    };
    await expect(names.whileOpen(APP, unending, late)).rejects.toMatchObject({ code: 'DENIED' });
  });

  test('and gone, or made again by others, has not taken it either', async () => {
    const gone = async (): Promise<void> => {
      await store.index.projects.remove('team', unending);
      clock.advance(2_000);
    };
    const unknown = { code: 'NAME_UNKNOWN' };
    await expect(names.whileOpen(APP, unending, gone)).rejects.toMatchObject(unknown);
    await change({});
    clock.advance(30_000);
    const another = async (): Promise<void> => {
      await change({ id: 'another' });
      clock.advance(2_000);
    };
    await expect(names.whileOpen(APP, unending, another)).rejects.toMatchObject(unknown);
  });

  test('is looked at once for what takes no time', async () => {
    const reads = jest.spyOn(store.index.projects, 'get');
    for (let round = 0; round < 10; round += 1) {
      await names.whileOpen(APP, unending, () => Promise.resolve());
    }
    expect(reads).not.toHaveBeenCalled();
  });

  test.each<[Partial<ProjectRecord>, boolean]>([
    [{}, true],
    [{ closed: true }, true],
    [{ renamedFrom: 'before' }, true],
    [{ closed: true, renamedTo: 'after' }, false],
    [{ closed: true, renamedFrom: 'before' }, false],
  ])('lets content be taken away unless that might have been copied: %j', async (more, isFree) => {
    await change(more);
    clock.advance(30_000);
    const asked = names.requireNotRenamed(APP, unending);
    if (isFree) await asked;
    else await expect(asked).rejects.toMatchObject({ code: 'DENIED' });
  });
});

describe('Repositories without a project', () => {
  let store: TempStore;
  beforeEach(async () => {
    store = await createTempStore();
    await store.index.members.add(APP, 'blob', `sha256:${'a'.repeat(64)}` as never, unending);
  });
  afterEach(() => store.remove());

  const open = (adoptsAtStartAlone: boolean): Projects =>
    new Projects({
      ...{ ...store.index, records: store.records },
      ...{ clock: new ManualClock(), adoptsAtStartAlone },
    });

  test('are taken for those of another registry', async () => {
    expect(await open(false).find('team', unending)).toMatchObject({ adopted: true });
  });

  test('are so at the start alone where rights follow from projects', async () => {
    expect(await open(true).find('team', unending)).toBeUndefined();
    const adopted = [{ name: 'team', adopted: true }];
    expect(await open(true).adoptAll([], unending)).toMatchObject(adopted);
  });
});
