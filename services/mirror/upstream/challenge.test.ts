import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { parseChallenges } from './challenge.ts';

const read = (header: string): unknown[] =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('parseChallenges', () => {
  test.each([
    ['', []],
    ['Basic realm="a"', [['basic', { realm: 'a' }]]],
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:library/x:pull,push',
          },
        ],
      ],
    ],
    ['BEARER Realm = "a" , SERVICE=b', [['bearer', { realm: 'a', service: 'b' }]]],
    [
      'Bearer realm=https://h/token,service=s',
      [['bearer', { realm: 'https://h/token', service: 's' }]],
    ],
    ['Bearer realm="a \\"quoted\\" word"', [['bearer', { realm: 'a "quoted" word' }]]],
    [
      'Basic realm="x", Bearer realm="y"',
      [
        ['basic', { realm: 'x' }],
        ['bearer', { realm: 'y' }],
      ],
    ],
    [
      'Negotiate, Basic realm="x"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'x' }],
      ],
    ],
    [
      'Negotiate YWJj==, Basic realm="x"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'x' }],
      ],
    ],
    ['Bearer realm="a",realm="b"', [['bearer', { realm: 'a' }]]],
    [
      'Bearer realm="unclosed, Basic',
      [
        ['bearer', {}],
        ['basic', {}],
      ],
    ],
    [',,, Bearer ,realm="a",,', [['bearer', { realm: 'a' }]]],
    ['realm="no scheme"', []],
    ['Bearer', [['bearer', {}]]],
    ['"what" Bearer', []],
  ])('reads %j', (header, expected) => {
    expect(read(header)).toEqual(expected);
  });

  test('ends on any input', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('a', 'B', '=', '"', ',', ' ', '\\', '\t', ';', '/', ':'),
          maxLength: 200,
        }),
        (header) => {
          parseChallenges(header);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('takes linear time for a header made to be slow', () => {
    const started = performance.now();
    parseChallenges('a '.repeat(100_000));
    parseChallenges(`Bearer realm="${'\\'.repeat(100_000)}`);
    parseChallenges('a'.repeat(100_000));
    // Milliseconds, against minutes for each of them where every character is looked at for each one before it.
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
