import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { parseUntrustedJson } from './json-guard.ts';

const parse = (text: string): unknown => parseUntrustedJson(Buffer.from(text));

describe('parseUntrustedJson', () => {
  test('returns what JSON.parse returns for every JSON value that it accepts', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), fc.boolean(), (text, isSpaced) => {
        const value: unknown = JSON.parse(text);
        const sent = isSpaced ? JSON.stringify(value, undefined, 2) : JSON.stringify(value);
        expect(parse(sent)).toEqual(JSON.parse(sent));
      }),
    );
  });

  test.each([
    ['a key given twice', '{"a":1,"a":2}'],
    ['a key given twice with space before the colon', '{"a" : 1, "b": 0, "a" \n: 2}'],
    ['a key given twice, once escaped', String.raw`{"layers":[],"l\u0061yers":[]}`],
    ['a nested key given twice', '{"x":[{"d":1,"d":2}]}'],
  ])('refuses %s', (_, text) => {
    expect(() => parse(text)).toThrow(/given twice/);
  });

  test('takes the same key in two objects, and strings that look like keys', () => {
    expect(parse(String.raw`[{"a":1},{"a":"{\"a\":1,\"a\":2}"}, "a", "a"]`)).toHaveLength(4);
  });

  test('takes 64 levels of nesting and refuses 65', () => {
    expect(() => parse('['.repeat(64) + ']'.repeat(64))).not.toThrow();
    expect(() => parse('['.repeat(65) + ']'.repeat(65))).toThrow(/deeper than 64/);
  });

  test('refuses 4 MiB of opening brackets at once', () => {
    const started = performance.now();
    expect(() => parse('['.repeat(4 * 1024 * 1024))).toThrow(/deeper than 64/);
    expect(performance.now() - started).toBeLessThan(500);
  });

  test('refuses more keys than any real manifest has', () => {
    const keys = Array.from({ length: 100_001 }, (_, key) => `"${key}":0`);
    expect(() => parse(`{${keys.join(',')}}`)).toThrow(/more than 100000 keys/);
  });

  test.each(['', '{', '{"a":}', '"a', '{"a":1}}', "{'a':1}", '\u{feff}{}', '{"a\\', 'NaN'])(
    'refuses %j, which is not JSON',
    (text) => {
      expect(() => parse(text)).toThrow(/not valid JSON/);
    },
  );

  test('refuses bytes that are not UTF-8', () => {
    expect(() => parseUntrustedJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow(/UTF-8/);
  });

  test('keeps a key named __proto__ an ordinary key', () => {
    const value = parse('{"__proto__":{"polluted":true}}') as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect('polluted' in value).toBe(false);
  });
});
