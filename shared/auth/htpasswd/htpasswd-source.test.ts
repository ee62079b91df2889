import { mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import bcrypt from 'bcrypt';

import { RecordedEdge } from '../../http/testing/recorded-edge.ts';
import { systemClock } from '../../lifecycle/clock.ts';
import { ALICE } from '../testing/alice.ts';
import { unending } from '../../storage/testing/contract-support.ts';
import { htpasswdLines } from '../testing/htpasswd-lines.ts';
import { HtpasswdSource } from './htpasswd-source.ts';
import { parseHtpasswd } from './parse-htpasswd.ts';

describe('an htpasswd file', () => {
  const hash = bcrypt.hashSync('x', 4);

  test('is read with comments, empty lines and line ends of Windows', () => {
    expect([...parseHtpasswd(`# users\r\n\r\nalice:${hash}\r\n`)]).toEqual([['alice', hash]]);
  });

  test.each([
    ['MD5', '$apr1$Ho5Ll8Zu$kZQYk1Jc5l9Gm5yfTn4VZ1', 'line 2 has an MD5 hash'],
    ['SHA-1', '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', 'line 2 has a SHA hash'],
    ['SHA-512', '$6$abc$def', 'line 2 has a SHA hash'],
    ['crypt', 'rqXexS6ZhobKA', 'line 2 has a crypt hash or a plain password'],
    ['a plain password', 'hunter2', 'line 2 has a crypt hash or a plain password'],
    ['bcrypt that was cut', hash.slice(0, -1), 'line 2 has a damaged bcrypt hash'],
    ['bcrypt of 2^32 rounds', hash.replace('$04$', '$32$'), 'line 2 has a damaged bcrypt hash'],
  ])('with %s is refused, by the line and without what stands there', (_kind, bad, message) => {
    const parse = (): unknown => parseHtpasswd(`alice:${hash}\nbob:${bad}\n`);
    expect(parse).toThrow(message);
    expect(parse).not.toThrow(bad);
  });

  test('with a line that is no user or one twice is refused', () => {
    expect(() => parseHtpasswd('alice\n')).toThrow('line 1 is not user:hash');
    expect(() => parseHtpasswd(`a:${hash}\na:${hash}`)).toThrow(
      'line 2 has a user that stands above',
    );
  });
});

describe('the users of an htpasswd file', () => {
  let folder: string;
  let file: string;
  let changes: number;
  let edge: RecordedEdge;
  let source: HtpasswdSource;
  const check = (username: string, password: string): Promise<unknown> =>
    source.check({ username, password }, unending);

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'twinport-htpasswd-'));
    file = path.join(folder, 'users');
    changes = 0;
    edge = new RecordedEdge();
    source = new HtpasswdSource({
      file,
      clock: systemClock,
      log: edge.log,
      onChange: () => (changes += 1),
    });
    await writeFile(file, await htpasswdLines({ alice: 'wonderland' }));
    await source.open();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await rm(folder, { recursive: true });
  });

  test('are known by their passwords', async () => {
    expect(await check('alice', 'wonderland')).toEqual({
      ...ALICE,
      id: 'htpasswd:alice',
      stamp: expect.any(String),
    });
    expect(await check('alice', 'looking-glass')).toBe('wrong');
    expect(await check('Alice', 'wonderland')).toBe('unknown');
  });

  test('cost as much work when they do not exist as when their password is wrong', async () => {
    const compare = jest.spyOn(bcrypt, 'compare');
    await check('alice', 'guess');
    await check('nobody', 'guess');
    const costs = compare.mock.calls.map(([, hash]) => hash.slice(0, 7));
    expect(costs).toEqual(['$2b$04$', '$2b$04$']);
  });

  test('are read again when the file changes, and stay when it becomes unusable', async () => {
    await source.reload();
    expect(changes).toBe(0);
    await writeFile(file, await htpasswdLines({ bob: 'builder' }));
    await source.reload();
    expect(changes).toBe(1);
    expect(await check('bob', 'builder')).toMatchObject({ id: 'htpasswd:bob' });
    expect(await check('alice', 'wonderland')).toBe('unknown');

    await writeFile(file, 'bob:plain\n');
    await source.reload();
    await source.reload();
    await unlink(file);
    await source.reload();
    await source.reload();
    expect(await check('bob', 'builder')).toMatchObject({ id: 'htpasswd:bob' });
    expect(changes).toBe(1);
    const errors = edge.lines.filter(({ level }) => level === 'error');
    expect(errors.map(({ fields }) => String(fields['reason']).slice(0, 12))).toEqual([
      'line 1 has a',
      expect.stringContaining('ENOEN'),
    ]);
  });

  test('may all come later: a file without any is served with a warning', async () => {
    const warnings = (): unknown[] =>
      edge.lines
        .filter(({ level }) => level === 'warn')
        .map(({ fields, message }) => [fields['file'], message]);
    expect(warnings()).toEqual([]);
    await writeFile(file, '# nobody yet\n');
    const empty = new HtpasswdSource({
      file,
      clock: systemClock,
      log: edge.log,
      onChange: () => 0,
    });
    await empty.open();
    expect(warnings()).toEqual([[file, expect.stringContaining('nobody can sign in')]]);
    expect(await empty.check({ username: 'alice', password: 'wonderland' }, unending)).toBe(
      'unknown',
    );

    await writeFile(file, await htpasswdLines({ alice: 'wonderland' }));
    await empty.reload();
    expect(
      await empty.check({ username: 'alice', password: 'wonderland' }, unending),
    ).toMatchObject({
      name: 'alice',
    });
    expect(warnings()).toHaveLength(1);
    await writeFile(file, '');
    await empty.reload();
    expect(warnings()).toHaveLength(2);
  });

  test('are read again when Kubernetes swaps the folder behind the file', async () => {
    const mounted = path.join(folder, 'secret');
    for (const [version, user] of [
      ['1', 'carol'],
      ['2', 'dave'],
    ] as const) {
      await writeFile(path.join(folder, version), await htpasswdLines({ [user]: 'pass' }));
    }
    await symlink('1', mounted);
    source = new HtpasswdSource({
      file: mounted,
      clock: systemClock,
      log: edge.log,
      onChange: () => (changes += 1),
    });
    await source.open();
    expect(await check('carol', 'pass')).toMatchObject({ name: 'carol' });
    await symlink('2', `${mounted}.new`);
    await rename(`${mounted}.new`, mounted);
    await source.reload();
    expect(await check('carol', 'pass')).toBe('unknown');
    expect(await check('dave', 'pass')).toMatchObject({ name: 'dave' });
  });
});
