import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { parseUntrustedJson } from './json-guard.ts';

const MIB = 1024 * 1024;

const parse = (text: string): unknown => parseUntrustedJson(Buffer.from(text));

function outcome(run: () => unknown): { value?: unknown; error?: unknown } {
  try {
    return { value: run() };
  } catch (error) {
    return { error };
  }
}

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

  test('agrees with JSON.parse on any text near JSON, keys given twice aside', () => {
    const near = fc.string({
      unit: fc.constantFrom(
        ...Array.from('{}[]:,"\\ \n01-.eEtrufalsn/bé'),
        '"a"',
        '{"a":',
        '\\u0061',
        'null',
      ),
      maxLength: 12,
    });
    const broken = fc.tuple(fc.json(), fc.nat(), near).map(([text, at, put]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + put + text.slice(place + 1);
    });
    fc.assert(
      fc.property(fc.oneof(near, broken, fc.json()), (text) => {
        const guarded = outcome(() => parse(text));
        if (String(guarded.error).includes('given twice')) return;
        const plain = outcome(() => JSON.parse(text) as unknown);
        expect('error' in guarded).toBe('error' in plain);
        expect(guarded.value).toEqual(plain.value);
      }),
      { numRuns: 3_000 },
    );
  });

  test('finds a key given twice wherever it stands and however it is written, and no other', () => {
    const spelling = fc.constantFrom(
      'a',
      'b',
      'layers',
      '\\u0061',
      '\\u006cayers',
      'l\\u0061yers',
      '',
    );
    const entries = fc.array(spelling, { maxLength: 20 });
    const place = fc.constantFrom(
      '%',
      '[%]',
      '{"x":%}',
      '[[0,{"y":[%]}]]',
      '{"k":1,"z":%,"w":"\\""}',
    );
    fc.assert(
      fc.property(entries, place, fc.constantFrom('', ' ', '\n\t'), (keys, around, space) => {
        const members = keys.map((key) => `${space}"${key}"${space}:${space}{}`);
        const text = around.replace('%', () => `{${members.join(',')}}`);
        const isTwice =
          new Set(keys.map((key) => JSON.parse(`"${key}"`) as string)).size < keys.length;
        if (isTwice) expect(() => parse(text)).toThrow(/given twice/);
        else expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 1_000 },
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

  test.each<[string, string, RegExp]>([
    ['opening brackets', '['.repeat(4 * MIB), /deeper than 64/],
    ['nested pairs', '['.repeat(2 * MIB) + ']'.repeat(2 * MIB), /deeper than 64/],
    ['nested objects', '{"a":'.repeat(MIB), /deeper than 64/],
    ['empty objects', `[${'{},'.repeat(MIB)}0]`, /more than 32768 objects and lists/],
    ['towers of lists', `[${`${'['.repeat(60)}${']'.repeat(60)},`.repeat(30_000)}0]`, /lists/],
    ['numbers', `[${'0,'.repeat(2 * MIB)}0]`, /more than 150000 values/],
  ])('refuses 4 MiB of %s, each time of twenty, in a fraction of what it would cost', (...row) => {
    const [, text, message] = row;
    const bytes = Buffer.from(text);
    for (let time = 0; time < 20; time += 1) {
      expect(() => parseUntrustedJson(bytes)).toThrow(message);
    }
  });

  test('refuses 200,000 keys that are numbers', () => {
    const keys = Array.from({ length: 200_000 }, (_, key) => `"${key * 7}":0`);
    expect(() => parse(`{${keys.join(',')}}`)).toThrow(/more than 100000 keys/);
  });

  test.each(['"', '"\\', '\\', '\\"', '"a" ', '"" ,', ' ', '{"'])(
    'comes to the end of 4 MiB of %j',
    (unit) => {
      const text = unit.repeat(Math.floor((4 * MIB) / unit.length));
      expect(() => parse(text)).toThrow();
      expect(() => parse(`{"a":${text}`)).toThrow();
    },
  );

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
