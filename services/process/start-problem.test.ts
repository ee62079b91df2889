import { describe, expect, test } from '@jest/globals';

import { describeConfigProblems, describeStartFailure, listenProblem } from './start-problem.ts';

const systemError = (code: string): Error => Object.assign(new Error(code), { code });

describe('what stops a start', () => {
  test('is told whole, one line for each problem of the configuration', () => {
    expect(
      describeConfigProblems([
        { variable: 'HTTP_PORT', message: 'must be x' },
        { variable: 'STORAGE', message: 'must be y' },
      ]),
    ).toBe(
      'Twinport does not start: there are 2 problems in its configuration.\n' +
        '  HTTP_PORT must be x\n  STORAGE must be y',
    );
    expect(describeConfigProblems([{ variable: 'STORAGE', message: 'must be y' }])).toContain(
      'there is a problem in its configuration',
    );
  });

  test('is told with its causes in one line, without secrets', () => {
    const cause = new Error('connect https://u:hunter2@s3:9000 refused');
    expect(describeStartFailure(new Error('the store does not answer', { cause }))).toBe(
      'Twinport does not start: the store does not answer: connect https://***@s3:9000 refused',
    );
    expect(describeStartFailure('odd')).toBe('Twinport does not start: odd');
  });

  test.each([
    [
      'EADDRINUSE',
      'port 5000 on 127.0.0.1 is already taken by another program; set PUSH_PORT to another port',
    ],
    [
      'EACCES',
      'port 5000 on 127.0.0.1 needs rights that this process does not have; set PUSH_PORT to another port',
    ],
    ['EADDRNOTAVAIL', 'HTTP_HOST 127.0.0.1 is not an address of this machine'],
    ['ENOTFOUND', 'HTTP_HOST 127.0.0.1 is not a known host name'],
  ])('names port and variable when listening fails with %s', (code, message) => {
    expect(listenProblem(systemError(code), '127.0.0.1', 5000, 'PUSH_PORT')).toMatchObject({
      message,
    });
  });

  test('keeps any other failure to listen as it is', () => {
    const error = systemError('ERR_OSSL');
    expect(listenProblem(error, 'h', 1, 'HTTP_PORT')).toBe(error);
  });
});
