import { describe, expect, test } from '@jest/globals';

import { createStoreIndex } from '../index/store/create-store-index.ts';
import { projectIdOf, type RegistryIndex } from '../index/ports.ts';
import { unending } from '../storage/testing/contract-support.ts';
import { Projects } from '../content/projects.ts';
import { publishUpstreams, UpstreamTable } from '../content/upstream-table.ts';
import { ProjectAdministration } from './project-administration.ts';
import { Robots } from './robots.ts';
import { type TestManagement, testManagement } from './testing/test-management.ts';

interface Bench extends TestManagement {
  readonly index: RegistryIndex;
  readonly robots: Robots;
  readonly projects: ProjectAdministration;
}

function newBench(): Bench {
  const management = testManagement();
  const index = createStoreIndex(management.records, management.clock);
  const robots = new Robots(management);
  const projects = new ProjectAdministration({
    ...management,
    index,
    blobs: { stat: () => Promise.resolve({ size: 1 }) },
    robots,
    upstreams: (signal) =>
      new UpstreamTable(management.records, [], management.clock).entries(signal),
    rules: { isDottedReserved: true },
  });
  return { ...management, index, robots, projects };
}

const team = { name: 'team', visibility: 'private', owner: undefined } as const;
const image = 'docker/registry/v2/repositories/team/app/_manifests/revisions/sha256/x/link';
const leftover = 'docker/registry/v2/repositories/team/app/_layers/sha256/x/link';

const turns = async (condition: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 1_000 && !condition(); turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  expect(condition()).toBe(true);
};

describe('projects', () => {
  test('two that change one at once lose neither change', async () => {
    const { projects } = newBench();
    await projects.create(team, unending);
    await Promise.all([
      projects.setRole('team', { id: 'local:alice' }, 'developer', unending),
      projects.setRole('team', { id: 'local:bob' }, 'guest', unending),
      projects.set('team', { visibility: 'public' } as never, unending),
    ]);
    const after = await projects.require('team', unending);
    expect(after.members).toHaveLength(2);
    expect(after.visibility).toBe('public');
  });

  test('one of several that make the same project makes it', async () => {
    const { projects } = newBench();
    const results = await Promise.allSettled(
      ['local:a', 'local:b', 'local:c'].map((owner) =>
        projects.create({ ...team, owner }, unending),
      ),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await projects.require('team', unending)).members).toHaveLength(1);
  });

  test('one of several that first push to a name makes its project; the others are told so', async () => {
    const { projects, index, records, clock } = newBench();
    const pushers = ['local:a', 'local:b', 'local:c'].map(
      (id) => async (): Promise<unknown> =>
        await new Projects({
          ...{ ...index, records, clock },
          makeOne: (record, signal) => projects.makeAtPush(record, signal),
        }).ensure('team', unending, { id, visibility: 'private' }),
    );
    const results = await Promise.allSettled(pushers.map((push) => push()));
    const { members } = await projects.require('team', unending);
    const made = results.filter(({ status }) => status === 'fulfilled');
    expect(made).toEqual([{ status: 'fulfilled', value: expect.objectContaining({ members }) }]);
  });

  test('a deleted one takes nothing while every process learns it, and goes with its robots', async () => {
    const { projects, robots, index, clock, records } = newBench();
    const before = await projects.create(team, unending);
    await robots.add(
      before,
      { name: 'ci', actions: ['pull'], expiresAt: undefined, createdBy: undefined },
      unending,
    );
    await records.put(leftover, Buffer.from('x'), unending);
    const deleting = projects.delete('team', unending);
    await turns(() => clock.sleepers > 0);
    expect(await index.projects.get('team', unending)).toMatchObject({ closed: true });
    clock.advance(31_000);
    expect(clock.sleepers).toBe(1);
    clock.advance(1_000);
    await deleting;
    expect(await index.projects.get('team', unending)).toBeUndefined();
    expect(await robots.list('team', unending)).toEqual([]);
    expect(records.records.has(leftover)).toBe(false);
    const again = await projects.create(team, unending);
    expect(projectIdOf(again)).not.toBe(projectIdOf(before));
  });

  test('one that got an image meanwhile stays, and is open again', async () => {
    const { projects, clock, index, records } = newBench();
    await projects.create(team, unending);
    const deleting = projects.delete('team', unending);
    await turns(() => clock.sleepers > 0);
    await records.put(image, Buffer.from('x'), unending);
    clock.advance(40_000);
    await expect(deleting).rejects.toMatchObject({ code: 'DENIED' });
    expect(await index.projects.get('team', unending)).not.toHaveProperty('closed');
  });

  test('one that caches a registry is served on when its deletion is given up', async () => {
    const { projects, records, clock } = newBench();
    const upstream = 'https://partner.example';
    await projects.create({ ...team, upstream }, unending);
    const table = () => new UpstreamTable(records, [], clock).entries(unending);
    const before = await table();
    const leaving = new AbortController();
    const deleting = projects.delete('team', leaving.signal);
    await turns(() => clock.sleepers === 1);
    expect(await table()).toEqual([]);
    leaving.abort(new Error('left'));
    await expect(deleting).rejects.toThrow('left');
    expect(await table()).toEqual(before);
    expect((await projects.require('team', unending)).closed).toBeUndefined();
  });

  test('one that a mirror made of its configuration shows where that leads today, and goes when no mirror has it', async () => {
    const { projects, index, clock, records } = newBench();
    const upstream = { url: 'https://old.example', isConfigured: true } as const;
    const createdAt = clock.now().toISOString();
    await index.projects.put({ schemaVersion: 1, name: 'partner', createdAt, upstream }, unending);
    const end = new AbortController();
    const withdraw = await publishUpstreams(
      records,
      [{ project: 'partner', url: 'https://new.example', hosts: [] }],
      clock,
      end.signal,
    );
    const address = { upstream: { url: 'https://new.example' } };
    expect(await projects.require('partner', unending)).toMatchObject(address);
    expect(await projects.list(unending)).toMatchObject([address]);
    await expect(projects.set('partner', { passThrough: true } as never, unending)).rejects.toThrow(
      'UPSTREAMS',
    );
    await expect(projects.delete('partner', unending)).rejects.toThrow('a mirror that runs');
    end.abort();
    await withdraw();
    const deleting = projects.delete('partner', unending);
    await turns(() => clock.sleepers > 0);
    clock.advance(32_000);
    await deleting;
    expect(await projects.list(unending)).toEqual([]);
    expect((await projects.create({ ...team, name: 'partner' }, unending)).name).toBe('partner');
  });
});
