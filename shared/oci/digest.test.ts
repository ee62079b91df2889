import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  digestAlgorithm,
  digestHex,
  digestOf,
  parseDigest,
  parseDigestAlgorithm,
} from './digest.ts';

const LENGTHS = { sha256: 64, sha512: 128 } as const;
const algorithm = fc.constantFrom('sha256' as const, 'sha512' as const);
const hexOf = (length: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.constantFrom(...Array.from('0123456789abcdef')),
    minLength: length,
    maxLength: length,
  });

/** A well-formed digest in its two parts. */
const parts = algorithm.chain((name) => hexOf(LENGTHS[name]).map((hex) => ({ name, hex })));

describe('parseDigest', () => {
  test('takes every digest that can be written, and gives its parts back', () => {
    fc.assert(
      fc.property(parts, ({ name, hex }) => {
        const digest = parseDigest(`${name}:${hex}`)!;
        expect(digest).toBe(`${name}:${hex}`);
        expect(digestAlgorithm(digest)).toBe(name);
        expect(digestHex(digest)).toBe(hex);
        expect(parseDigestAlgorithm(name)).toBe(name);
      }),
    );
  });

  test('takes the digest of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), algorithm, (bytes, name) => {
        const digest = digestOf(bytes, name);
        expect(parseDigest(digest)).toBe(digest);
      }),
    );
  });

  test('refuses a digest with any one character changed into one that is no lower-case hex', () => {
    const bad = fc.string({ minLength: 1, maxLength: 1 }).filter((c) => !/[0-9a-f]/.test(c));
    fc.assert(
      fc.property(parts, fc.nat(), bad, ({ name, hex }, at, character) => {
        const place = at % hex.length;
        const changed = hex.slice(0, place) + character + hex.slice(place + 1);
        expect(parseDigest(`${name}:${changed}`)).toBeUndefined();
      }),
    );
  });

  test('refuses every other length', () => {
    fc.assert(
      fc.property(algorithm, fc.nat({ max: 300 }), (name, length) => {
        fc.pre(length !== LENGTHS[name]);
        expect(parseDigest(`${name}:${'a'.repeat(length)}`)).toBeUndefined();
      }),
    );
  });

  test.each(['md5', 'sha1', 'sha384', 'SHA256', 'sha256+b64', 'sha3-256', 'blake3', ''])(
    'refuses the algorithm %j at any length',
    (name) => {
      for (const length of [32, 40, 64, 96, 128]) {
        expect(parseDigest(`${name}:${'a'.repeat(length)}`)).toBeUndefined();
      }
      expect(parseDigestAlgorithm(name)).toBeUndefined();
    },
  );

  test('refuses what would be a path, a second line or white space', () => {
    const hex = 'a'.repeat(64);
    for (const input of [
      'sha256:../../../../etc/passwd',
      `sha256:${'../'.repeat(21)}x`,
      `sha256:${hex}\n`,
      `\nsha256:${hex}`,
      ` sha256:${hex}`,
      `sha256:${hex}\0`,
      `sha256:sha256:${hex}`,
      `sha256/${hex}`,
    ]) {
      expect(parseDigest(input)).toBeUndefined();
    }
  });

  test('agrees with the written form on any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
        expect(parseDigest(text)).toBeUndefined();
      }),
    );
  });
});
