import { describe, expect, test } from '@jest/globals';

import { createLogger, withoutSecrets } from './logger.ts';

function record(level: 'debug' | 'info' | 'warn' | 'error' = 'info') {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write: (line: string) => {
      lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  };
  return { log: createLogger({ level, destination }), lines };
}

describe('the logger', () => {
  test('writes one JSON object a line, with level, time and message', () => {
    const { log, lines } = record();
    log.with({ role: 'push' }).info({ operation: 'blobGet' }, 'request');
    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        role: 'push',
        operation: 'blobGet',
        message: 'request',
      },
    ]);
  });

  test('leaves out what is below its level', () => {
    const { log, lines } = record('warn');
    log.debug({}, 'a');
    log.info({}, 'b');
    log.warn({}, 'c');
    log.error({}, 'd');
    expect(lines.map(({ message }) => message)).toEqual(['c', 'd']);
  });

  test('hides fields with the names of secrets', () => {
    const { log, lines } = record();
    log.info(
      {
        password: 'hunter2',
        upstream: { password: 'hunter2', headers: { authorization: 'hunter2' } },
      },
      'x',
    );
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });

  test('tells errors with their causes and codes, and nothing else that hangs on them', () => {
    const { log, lines } = record();
    const cause = Object.assign(new Error('refused by redis://u:hunter2@r:1'), {
      code: 'ECONNREFUSED',
      request: { headers: { cookie: 'hunter2' } },
    });
    log.error({ err: new Error('https://s3/b?X-Amz-Signature=hunter2 failed', { cause }) }, 'x');
    expect(lines[0]).toMatchObject({
      err: {
        name: 'Error',
        message: 'https://s3/b?*** failed',
        cause: { code: 'ECONNREFUSED', message: 'refused by redis://***@r:1' },
      },
    });
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });
});

describe('withoutSecrets', () => {
  test.each([
    ['https://user:pass@host/path', 'https://***@host/path'],
    ['get https://host/path?token=abc now', 'get https://host/path?*** now'],
    ['nothing to hide @ all?', 'nothing to hide @ all?'],
  ])('%s', (text, expected) => {
    expect(withoutSecrets(text)).toBe(expected);
  });
});
