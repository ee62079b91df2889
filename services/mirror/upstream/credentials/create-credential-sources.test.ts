import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { testUpstream } from '../../../../shared/config/testing/test-upstream.ts';
import type { UpstreamCredential } from '../../../../shared/config/upstream-config.ts';
import { ManualClock } from '../../../../shared/index/testing/manual-clock.ts';
import { createCredentialSources } from './create-credential-sources.ts';
import type { CredentialSource } from './credential-source.ts';
import { HelperCredentials } from './helper-credentials.ts';

const signal = new AbortController().signal;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'credentials-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const at = (name: string): string => path.join(folder, name);

async function program(name: string, script: string): Promise<string> {
  await writeFile(at(name), `#!/bin/sh\n${script}\n`);
  await chmod(at(name), 0o755);
  return at(name);
}

function source(credential: UpstreamCredential, clock = new ManualClock()): CredentialSource {
  const [first] = createCredentialSources(testUpstream({ credentials: [credential] }), clock);
  if (!first) throw new Error('no source');
  return first;
}

const helper = (
  command: readonly [string, ...string[]],
  settings: { username?: string; lifetimeSeconds?: number } = {},
): UpstreamCredential => ({
  kind: 'helper',
  command,
  username: settings.username,
  lifetimeSeconds: settings.lifetimeSeconds ?? 100,
});

describe('a password in a file', () => {
  test('is read again when it changed, without the newline at its end', async () => {
    await writeFile(at('password'), 'first\n');
    const credentials = source({ kind: 'file', username: 'u', passwordFile: at('password') });
    expect(await credentials.current(signal)).toEqual({ username: 'u', password: 'first' });
    await writeFile(at('password'), 'second\n');
    expect(await credentials.current(signal)).toEqual({ username: 'u', password: 'second' });
    expect(credentials.problem()).toBeUndefined();
  });

  test('that is not there or empty is a problem that names the file, until it is there', async () => {
    const credentials = source({ kind: 'file', username: 'u', passwordFile: at('late') });
    expect(await credentials.current(signal)).toBeUndefined();
    expect(credentials.problem()).toBe(`the file ${at('late')} cannot be read`);
    await writeFile(at('late'), '\n');
    expect(await credentials.current(signal)).toBeUndefined();
    expect(credentials.problem()).toBe(`the file ${at('late')} holds no password`);
    await writeFile(at('late'), 'p');
    expect(await credentials.current(signal)).toEqual({ username: 'u', password: 'p' });
    expect(credentials.problem()).toBeUndefined();
  });
});

describe('a helper program', () => {
  test("answers as docker's helpers do, and is told the registry on its input", async () => {
    const command = await program(
      'docker-like',
      `read server; echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"$1\\",\\"Secret\\":\\"s-$server\\"}"`,
    );
    expect(await source(helper([command, 'get'])).current(signal)).toEqual({
      username: 'get',
      password: 's-registry-1.docker.io',
    });
  });

  test('may tell the password alone where the user name is configured', async () => {
    const command = await program('plain', 'echo secret');
    expect(await source(helper([command], { username: 'AWS' })).current(signal)).toEqual({
      username: 'AWS',
      password: 'secret',
    });
    const nameless = source(helper([command]));
    expect(await nameless.current(signal)).toBeUndefined();
    expect(nameless.problem()).toBe(
      `the program ${command} told no user name, and none is configured`,
    );
  });

  test('gets its arguments as they are, without a shell', async () => {
    const command = await program('echoes', 'printf %s "$1"');
    const credentials = source(helper([command, '$(id); `id`'], { username: 'u' }));
    expect(await credentials.current(signal)).toEqual({ username: 'u', password: '$(id); `id`' });
  });

  test('is asked once by many, again when its answer nears its end, and after a refusal', async () => {
    const clock = new ManualClock();
    const runs = async (): Promise<number> => (await readFile(at('runs'), 'utf8')).length;
    const command = await program('counted', `printf . >> ${at('runs')}; wc -c < ${at('runs')}`);
    const credentials = source(helper([command], { username: 'u' }), clock);
    await Promise.all(Array.from({ length: 5 }, () => credentials.current(signal)));
    expect(await runs()).toBe(1);
    clock.advance(79_000);
    await credentials.current(signal);
    expect(await runs()).toBe(1);
    clock.advance(2_000);
    expect(await credentials.current(signal)).toMatchObject({ password: '2' });
    credentials.refused();
    expect(await credentials.current(signal)).toMatchObject({ password: '3' });
    credentials.refused();
    await credentials.current(signal);
    expect(await runs()).toBe(3);
  });

  test('that fails costs nothing while its last answer lives, and is left alone for a while', async () => {
    const clock = new ManualClock();
    const command = await program('flaky', `printf . >> ${at('tries')}; cat ${at('answer')}`);
    await writeFile(at('answer'), 'secret');
    const credentials = source(helper([command], { username: 'u' }), clock);
    await credentials.current(signal);
    await rm(at('answer'));
    clock.advance(85_000);
    expect(await credentials.current(signal)).toMatchObject({ password: 'secret' });
    expect(credentials.problem()).toBe(`the program ${command} ended with 1`);
    clock.advance(16_000);
    expect(await credentials.current(signal)).toBeUndefined();
    expect((await readFile(at('tries'), 'utf8')).length).toBe(2);
    await writeFile(at('answer'), 'next');
    clock.advance(30_000);
    expect(await credentials.current(signal)).toMatchObject({ password: 'next' });
    expect(credentials.problem()).toBeUndefined();
  });

  test('is ended when it hangs or talks without end, and none of its output is told', async () => {
    const cases = [
      [await program('hangs', 'echo hunter2; sleep 600'), 'did not end within 0.3 seconds', 300],
      [await program('talks', 'yes hunter2'), 'told too much'],
      [await program('denied', 'echo hunter2; exit 3'), 'ended with 3'],
      [
        await program('identity', `echo '{"Username":"<token>","Secret":"hunter2"}'`),
        'told an identity token in place of a password',
      ],
      [at('missing'), 'is not installed'],
    ] as const;
    for (const [command, problem, timeoutMs = 60_000] of cases) {
      const credentials = new HelperCredentials(
        'x',
        { command: [command], username: 'u', lifetimeSeconds: 1 },
        { server: 'registry.example', clock: new ManualClock(), timeoutMs },
      );
      expect(await credentials.current(signal)).toBeUndefined();
      expect(credentials.problem()).toBe(`the program ${command} ${problem}`);
    }
  });
});
