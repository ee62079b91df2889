import { EventEmitter } from 'node:events';

import { describe, expect, test } from '@jest/globals';

import { type Command, CommandError, type StoreCommand } from './command.ts';
import { runInProcess } from './testing/run-in-process.ts';

const command = (name: string, run: StoreCommand['run']): StoreCommand => ({
  name,
  summary: `does ${name}`,
  help: `All about ${name}.`,
  run,
});

const COMMANDS: readonly Command[] = [
  command('index rebuild', ({ config, print }) => {
    print(`store ${config.storage.kind}`);
    return Promise.resolve(0);
  }),
  command('check', () => Promise.resolve(1)),
  command('fail', () => {
    throw new CommandError('the store is away', { cause: new Error('at http://a:b@host/') });
  }),
  command('hang', ({ signal }) => {
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    });
  }),
  { ...command('store say', ({ args, print }) => sayAll(args, print)), usage: 'WORD...' },
  {
    ...command('say', () => Promise.resolve(0)),
    usage: 'WORD...',
    worksOn: 'server',
    run: ({ args, print }) => sayAll(args, print),
  },
];

function sayAll(args: readonly string[], print: (line: string) => void): Promise<number> {
  print(args.join('|'));
  return Promise.resolve(0);
}

async function run(line: string, env: Record<string, string> = {}) {
  const signals = new EventEmitter();
  const args = line.split(' ').filter(Boolean);
  const ended = runInProcess(args, { env, signals, commands: COMMANDS });
  if (line === 'hang') signals.emit('SIGINT', 'SIGINT');
  const { code, out, errors } = await ended;
  return { code, out, errors };
}

describe('the command line', () => {
  test('runs a command of several words with the configuration of the environment', async () => {
    expect(await run('index rebuild')).toEqual({ code: 0, out: 'store filesystem', errors: '' });
    expect((await run('index rebuild', { S3_BUCKET: 'images' })).out).toBe('store s3');
  });

  test('ends with the exit code of the command', async () => {
    expect((await run('check')).code).toBe(1);
  });

  test.each(['help', '--help', '-h'])('%s lists every command', async (line) => {
    const { code, out } = await run(line);
    expect(code).toBe(0);
    for (const name of ['index rebuild', 'check', 'help [command]', 'version']) {
      expect(out).toContain(`\n  ${name}`);
    }
  });

  test('without a command it says which there are, and fails', async () => {
    const { code, out, errors } = await run('');
    expect([code, out]).toEqual([2, '']);
    expect(errors).toContain('Usage: twinport <command>');
  });

  test.each(['help index rebuild', 'index rebuild --help'])('%s explains one', async (line) => {
    expect(await run(line)).toMatchObject({
      code: 0,
      out: 'twinport index rebuild: does index rebuild\n\nAll about index rebuild.',
    });
  });

  test.each(['version', '--version'])('%s prints the version', async (line) => {
    expect((await run(line)).out).toMatch(/^twinport \d+\.\d+\.\d+$/);
  });

  test.each([
    ['indx rebiuld', 'Did you mean "index rebuild"?'],
    ['chek', 'Did you mean "check"?'],
    ['index', 'There is: index rebuild.'],
    ['check everything', '"check" takes no arguments'],
    ['check --all', '"check" takes no arguments'],
    ['something else entirely', '`twinport help` lists the commands.'],
  ])('"%s" is none, and the nearest is named', async (line, advice) => {
    const { code, out, errors } = await run(line);
    expect([code, out]).toEqual([2, '']);
    expect(errors).toContain(advice);
  });

  test.each(['say', 'store say'])('%s gets the words after its name', async (name) => {
    expect(await run(`${name} one --two=3 -`)).toMatchObject({ code: 0, out: 'one|--two=3|-' });
    expect((await run(`help ${name}`)).out).toContain(`Usage: twinport ${name} WORD...`);
  });

  test('the configuration means nothing to a command that asks a server', async () => {
    expect(await run('say it', { STORAGE: 'tape' })).toEqual({ code: 0, out: 'it', errors: '' });
  });

  test('a wrong configuration is told whole, and nothing runs', async () => {
    const { code, out, errors } = await run('index rebuild', { STORAGE: 'tape', S3_REGIN: 'x' });
    expect([code, out]).toEqual([2, '']);
    expect(errors).toContain('STORAGE');
    expect(errors).toContain('Did you mean S3_REGION?');
  });

  test('why a command fails is told with its causes and without secrets', async () => {
    expect(await run('fail')).toEqual({
      code: 2,
      out: '',
      errors: 'twinport fail: the store is away: at http://***@host/',
    });
  });

  test('Ctrl-C ends a command', async () => {
    expect(await run('hang')).toMatchObject({
      code: 2,
      errors: 'twinport hang: stopped before it was done',
    });
  });
});
