import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { People } from '../../shared/management/people.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { runInProcess } from './testing/run-in-process.ts';

let store: TempStore;
beforeAll(async () => {
  store = await createTempStore();
});
afterAll(() => store.remove());

async function twinport(
  args: string | readonly string[],
  input = '',
  env: Readonly<Record<string, string>> = {},
) {
  const { code, text } = await runInProcess(typeof args === 'string' ? args.split(' ') : args, {
    env: { DATA_DIR: store.folder, ...env },
    input,
  });
  return { code, text };
}

test('a folder over which nothing was started gets no users and no projects', async () => {
  for (const line of ['user add alice', 'project create team', 'user list']) {
    const { code, text } = await twinport(line);
    expect(code).toBe(2);
    expect(text).toContain('no registry was started over');
  }
  expect(await store.records.list('twinport', {}, unending)).toEqual([]);
  await store.records.put('twinport/v1/probe/ready', Buffer.from('x'), unending);
});

test('what is changed is put down where there is a record of who did what, and what is read is not', async () => {
  const file = path.join(store.folder, 'audit.jsonl');
  const env = { AUDIT_LOG: file };
  expect((await twinport('project create noted', '', env)).code).toBe(0);
  expect((await twinport('project create noted', '', env)).code).toBe(2);
  for (const line of ['project list', 'project members noted', 'user list']) {
    expect((await twinport(line, '', env)).code).toBe(0);
  }
  const made = await twinport('robot add noted ci --rights pull', '', env);
  expect(made.code).toBe(0);
  expect(
    (await twinport('project create noted', '', { AUDIT_LOG: '/proc/none/x' })).text,
  ).toContain('AUDIT_LOG (/proc/none/x) cannot be written');
  const text = await readFile(file, 'utf8');
  const lines = text.trim().split('\n');
  const noted = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const byHand = { action: 'change-right', by: 'command-line' };
  expect(noted).toMatchObject([
    { ...byHand, result: 'done', subject: 'twinport project create noted' },
    { ...byHand, result: 'failed', subject: 'twinport project create noted' },
    { action: 'make-secret', result: 'done', subject: 'twinport robot add noted ci --rights pull' },
  ]);
  expect(text).not.toContain('twp_');
  await store.index.projects.remove('noted', unending);
});

test('where the record is among the lines of the log, what is changed is put down beside what a command prints', async () => {
  const { code, text } = await twinport('project create told', '', { AUDIT_LOG: 'stdout' });
  expect(code).toBe(0);
  const noted = text.split('\n').filter((line) => line.startsWith('{'));
  expect(noted.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { ...{ action: 'change-right', by: 'command-line' }, subject: 'twinport project create told' },
  ]);
  const listed = await twinport('project list', '', { AUDIT_LOG: 'stdout' });
  expect(listed.text).not.toContain('"action"');
  await store.index.projects.remove('told', unending);
});

describe('twinport user', () => {
  test('makes people with a password of a file, or a random one that is printed once', async () => {
    expect(await twinport('user list')).toEqual({ code: 0, text: 'There are no users.' });
    const chosen = await twinport('user add root --admin --password-file -', 'a good one\nrest');
    expect(chosen).toEqual({ code: 0, text: 'The user root is made, an administrator.' });
    const made = await twinport('user add alice');
    expect(made.text).toMatch(/^The user alice is made\.\nPassword: [A-Za-z0-9_-]{24}$/);
    expect((await twinport('user add alice')).code).toBe(2);
    const list = await twinport('user list');
    expect(list.text).toMatch(/^20\S+Z {2}alice\n20\S+Z {2}root {2}administrator$/);
  });

  test('locks people out and lets them in, and makes administrators and takes that back', async () => {
    expect((await twinport('user disable alice')).code).toBe(0);
    expect((await twinport('user admin alice')).code).toBe(0);
    expect((await twinport('user list')).text).toContain('alice  administrator, disabled');
    expect((await twinport('user disable alice --undo')).code).toBe(0);
    expect((await twinport('user admin alice --undo')).code).toBe(0);
    expect((await twinport('user list')).text).toMatch(/alice\n/);
    expect((await twinport('user passwd alice')).text).toMatch(/changed\.\nPassword: \S{24}$/);
  });

  test('locks people of other sources out by their id, and lists who came from there', async () => {
    expect((await twinport('user people')).text).toBe('Nobody of another source has signed in.');
    const people = new People(store.records, systemClock);
    const id = 'oidc:https://login.example#f3a1';
    await people.noteSignIn(
      { kind: 'user', id, name: 'frank', groups: [], isAdmin: false },
      unending,
    );
    expect((await twinport(`user disable ${id}`)).code).toBe(0);
    expect((await twinport('user people')).text).toMatch(
      /^20\S+Z {2}oidc:\S+#f3a1 {2}frank {2}disabled$/,
    );
    expect((await twinport(`user disable ${id} --undo`)).code).toBe(0);
    expect(await people.find(id, unending)).toMatchObject({ name: 'frank' });
  });

  test('says what is wrong, and changes nothing', async () => {
    const cases = [
      ['user add Alice', 'a user name has'],
      ['user passwd nobody', 'there is no user nobody'],
      ['user disable nobody', 'there is no user nobody'],
      ['user add', 'something is missing'],
      ['user add bob carol', '"carol" is one word too many'],
      ['user add bob --superuser', 'superuser'],
    ] as const;
    for (const [line, reason] of cases) {
      const { code, text } = await twinport(line);
      expect([line, code]).toEqual([line, 2]);
      expect(text).toContain(reason);
    }
    const short = await twinport('user add bob --password-file -', 'short');
    expect(short.text).toContain('at least');
    expect((await twinport('user list')).text).not.toContain('bob');
  });
});

describe('twinport project', () => {
  test('makes a project of somebody, private unless it is said otherwise', async () => {
    const made = await twinport('project create team --owner alice');
    expect(made.code).toBe(0);
    expect(made.text).toContain('The project team is made, private.');
    expect(made.text).toContain('<mirror>/local/team/<repository>');
    expect((await twinport('project create open --visibility public')).code).toBe(0);
    expect((await twinport('project list')).text).toMatch(
      /open {2}public\n20\S+Z {2}team {2}private$/,
    );
    const shown = await twinport('project show team');
    expect(shown.text).toContain('Member: local:alice  maintainer');
  });

  test('refuses names that are taken or mean something else', async () => {
    for (const [name, reason] of [
      ['team', 'there is a project team already'],
      ['library', 'Docker Hub keeps its official images'],
      ['ghcr.io', 'names the upstream registry'],
      ['Team', 'is no name of a project'],
      ['a/b', 'is no name of a project'],
    ]) {
      const { code, text } = await twinport(`project create ${name}`);
      expect([name, code]).toEqual([name, 2]);
      expect(text).toContain(reason);
    }
  });

  test('changes what is named and leaves the rest', async () => {
    const changes =
      'project set team --visibility public --immutable-tags v*,release-* --root-path no';
    expect((await twinport(changes)).code).toBe(0);
    const record = await store.index.projects.get('team', unending);
    expect(record).toMatchObject({
      visibility: 'public',
      immutableTags: ['v*', 'release-*'],
      rootPath: false,
      members: [{ id: 'local:alice', role: 'maintainer' }],
    });
    const back = ['project', 'set', 'team', '--immutable-tags', '', '--root-path', 'default'];
    expect((await twinport(back)).code).toBe(0);
    const after = await store.index.projects.get('team', unending);
    expect(after).not.toHaveProperty('immutableTags');
    expect(after).not.toHaveProperty('rootPath');
    expect(after).toMatchObject({ visibility: 'public', id: record?.id });
    for (const wrong of [
      'project set team',
      'project set team --visibility secret',
      'project set team --immutable-tags a/b',
      'project set nothing --visibility public',
    ]) {
      expect([wrong, (await twinport(wrong)).code]).toEqual([wrong, 2]);
    }
  });

  test('sets a quota, and shows it beside what the project takes', async () => {
    const bytes = Buffer.alloc(1_536, 'a layer');
    const repository = 'team/app' as RepositoryName;
    await store.blobs.put(digestOf(bytes), bytes, bytes.length, unending);
    await store.index.members.add(repository, 'blob', digestOf(bytes), unending);
    await store.index.members.add('team/b' as RepositoryName, 'blob', digestOf(bytes), unending);
    expect((await twinport('project set team --quota 10GiB')).code).toBe(0);
    const shown = (await twinport('project show team')).text;
    expect(shown).toContain('Quota: 10 GiB (10737418240 bytes)');
    expect(shown).toContain('Takes: 1.5 KiB (1536 bytes) in 1 blobs and manifests');
    expect((await twinport('project set team --quota 500MB')).code).toBe(0);
    expect(await store.index.projects.get('team', unending)).toMatchObject({ quotaBytes: 500e6 });
    expect((await twinport('project set team --quota none')).code).toBe(0);
    expect((await twinport('project show team')).text).toContain('Quota: none');
    for (const wrong of ['lots', '-1', '10XB', '99999999PiB']) {
      expect([wrong, (await twinport(`project set team --quota=${wrong}`)).code]).toEqual([
        wrong,
        2,
      ]);
    }
  });

  test('makes a cache of another registry, whose host names it as well', async () => {
    const url = 'https://registry.partner.example';
    const made = await twinport(`project create partner --upstream ${url}/`);
    expect(made.text).toContain(`Pull images of ${url} as <mirror>/partner/<repository>.`);
    expect((await twinport('project show partner')).text).toContain(`Caches: ${url}`);
    const second = await twinport(`project create partner2 --upstream ${url}`);
    expect(second.code).toBe(0);
    const hosts = async (name: string) =>
      (await store.index.projects.get(name, unending))?.upstream?.hosts;
    expect(await hosts('partner')).toEqual(['registry.partner.example']);
    expect(await hosts('partner2')).toEqual([]);
    for (const wrong of [
      'partner.example',
      'ftp://x.example',
      `${url}/path`,
      'https://me:pw@x.example',
    ]) {
      const { code, text } = await twinport(`project create wrong --upstream ${wrong}`);
      expect([wrong, code]).toEqual([wrong, 2]);
      expect(text).toContain('the address of the upstream');
    }
    const taken = await twinport(`project create team --upstream ${url}`);
    expect(taken.text).toContain('there are images under team already');
  });

  test('has private images of the other registry passed on, or refused', async () => {
    const shown = async (): Promise<string> => (await twinport('project show lab')).text;
    const create = 'project create lab --upstream https://registry.firm.example --pass-through';
    expect((await twinport(create)).code).toBe(0);
    expect(await shown()).toContain('Private images: passed on to those who may pull');
    expect((await twinport('project set lab --pass-through no')).code).toBe(0);
    expect(await shown()).toContain('Private images: refused');
    expect((await twinport('project set lab --pass-through yes')).code).toBe(0);
    expect(await shown()).toContain('passed on');
    for (const wrong of [
      'project set lab --pass-through maybe',
      'project set team --pass-through yes',
      'project create hosted --pass-through',
    ]) {
      expect([wrong, (await twinport(wrong)).code]).toEqual([wrong, 2]);
    }
  });

  test('renames nothing to a name that means something else', async () => {
    for (const [names, reason] of [
      ['team library', 'Docker Hub keeps its official images'],
      ['team open', 'there is a project open already'],
      ['nothing other', 'there is no project nothing'],
      ['partner other', 'make another project for that'],
      ['team', 'something is missing'],
    ]) {
      const { code, text } = await twinport(`project rename ${names}`);
      expect([names, code]).toEqual([names, 2]);
      expect(text).toContain(reason);
    }
    expect(await store.index.projects.get('team', unending)).not.toHaveProperty('closed');
  });

  test('gives members and groups their roles and takes them away', async () => {
    expect((await twinport('project members team bob developer')).text).toBe(
      'local:alice  maintainer\nlocal:bob  developer',
    );
    const group = await twinport('project members team ldap:staff guest --group');
    expect(group.text).toContain('group ldap:staff  guest');
    await twinport('project members team bob none');
    expect((await twinport('project members team')).text).toBe(
      'local:alice  maintainer\ngroup ldap:staff  guest',
    );
    expect((await twinport('project members team bob king')).code).toBe(2);
    expect((await twinport('project members team bob')).code).toBe(2);
  });

  test('does not delete a project with images', async () => {
    const link = 'docker/registry/v2/repositories/team/app/_manifests/revisions/sha256/x/link';
    await store.records.put(link, Buffer.from('x'), unending);
    const { code, text } = await twinport('project delete team');
    expect(code).toBe(2);
    expect(text).toContain('the project team has images, for example in team/app');
    expect(await store.index.projects.get('team', unending)).not.toHaveProperty('closed');
  });
});

describe('twinport robot', () => {
  test('makes a robot whose secret is shown once, and lists it', async () => {
    const made = await twinport('robot add team ci --rights pull,push --days 30');
    expect(made.code).toBe(0);
    expect(made.text).toMatch(/^User name: robot\$team\+ci\nSecret: twp_\S{43}\nExpires: 20\S+Z$/);
    const secret = /Secret: (\S+)/.exec(made.text)?.[1] ?? '';
    const list = await twinport('robot list team');
    expect(list.text).toMatch(/^robot\$team\+ci {2}pull,push {2}never used {2}expires 20\S+Z$/);
    expect(list.text).not.toContain(secret);
    const rotated = await twinport('robot rotate team ci');
    expect(rotated.text).toMatch(/Secret: twp_\S{43}$/);
    expect(rotated.text).not.toContain(secret);
  });

  test('locks a robot out, lets it in, and removes it', async () => {
    expect((await twinport('robot disable team ci')).code).toBe(0);
    expect((await twinport('robot list team')).text).toContain('disabled');
    expect((await twinport('robot disable team ci --undo')).code).toBe(0);
    expect((await twinport('robot remove team ci')).code).toBe(0);
    expect((await twinport('robot remove team ci')).code).toBe(1);
    expect((await twinport('robot list team')).text).toBe('The project team has no robots.');
  });

  test('says what is wrong, and makes nothing', async () => {
    for (const line of [
      'robot add team ci',
      'robot add team ci --rights all',
      'robot add team ci --rights pull,king',
      'robot add team ci --rights pull --days 0',
      'robot add nothing ci --rights pull',
      'robot add team CI --rights pull',
      'robot rotate team other',
    ]) {
      expect([line, (await twinport(line)).code]).toEqual([line, 2]);
    }
  });
});
