import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { digestOf } from './digest.ts';
import {
  firstSegment,
  parseManifestReference,
  parseRepositoryName,
  parseTag,
  parseUploadId,
} from './reference.ts';

const alphanumerics = fc.string({
  unit: fc.constantFrom(...Array.from('abz019')),
  minLength: 1,
  maxLength: 6,
});
const separator = fc.constantFrom('.', '_', '__', '-', '--', '-----');
const component = fc
  .tuple(alphanumerics, fc.array(fc.tuple(separator, alphanumerics), { maxLength: 3 }))
  .map(([first, rest]) => first + rest.flat().join(''));
const names = fc
  .array(component, { minLength: 1, maxLength: 5 })
  .map((components) => components.join('/'))
  .filter((name) => name.length <= 255);

/** Texts near the grammar, so that many are names and many are almost. */
const almostNames = fc.string({
  unit: fc.constantFrom('a', '0', '.', '_', '-', '/', 'A', ' ', '\n', '%'),
  maxLength: 12,
});

/** The grammar of spec.md#pulling-manifests without a regular expression. */
function isName(text: string): boolean {
  return text.length <= 255 && text.split('/').every(isComponent);
}

function isComponent(text: string): boolean {
  const runs = text.match(/[a-z0-9]+|[^a-z0-9]+/g) ?? [];
  const isSeparator = (run: string): boolean =>
    run === '.' || run === '_' || run === '__' || Array.from(run).every((c) => c === '-');
  return (
    runs.length % 2 === 1 &&
    runs.every((run, at) => (at % 2 === 0 ? /^[a-z0-9]/.test(run) : isSeparator(run)))
  );
}

describe('parseRepositoryName', () => {
  test('takes every name that the grammar makes', () => {
    fc.assert(
      fc.property(names, (name) => {
        expect(parseRepositoryName(name)).toBe(name);
        expect(firstSegment(parseRepositoryName(name)!)).toBe(name.split('/')[0]);
      }),
    );
  });

  test('agrees with the grammar on any text', () => {
    fc.assert(
      fc.property(fc.oneof(almostNames, fc.string(), fc.string({ unit: 'binary' })), (text) => {
        expect(parseRepositoryName(text) !== undefined).toBe(isName(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test('counts 255 characters and no more', () => {
    expect(parseRepositoryName('a'.repeat(255))).toBeDefined();
    expect(parseRepositoryName('a'.repeat(256))).toBeUndefined();
    expect(parseRepositoryName(`${'a/'.repeat(127)}a`)).toBeDefined();
    expect(parseRepositoryName(`${'a/'.repeat(127)}ab`)).toBeUndefined();
  });

  test.each([
    ['a'.repeat(254), '!'],
    ['a-'.repeat(127), '!'],
    ['a__'.repeat(84), '!'],
    ['a/'.repeat(127), '!'],
    ['-'.repeat(254), 'a'],
    [`a${'-'.repeat(253)}`, '!'],
    ['a', 'a'.repeat(1_000_000)],
    ['a-', 'a-'.repeat(500_000)],
  ])(
    'refuses %.10s… with its bad end in so few steps that a thousand times are none',
    (start, end) => {
      for (let time = 0; time < 1_000; time += 1) {
        expect(parseRepositoryName(start + end)).toBeUndefined();
      }
    },
  );
});

describe('parseTag', () => {
  const first = fc.constantFrom(...Array.from('aZ0_'));
  const others = fc.string({ unit: fc.constantFrom(...Array.from('aZ0_.-')), maxLength: 127 });

  test('takes every tag that the grammar makes', () => {
    fc.assert(
      fc.property(first, others, (start, rest) => {
        expect(parseTag(start + rest)).toBe(start + rest);
        expect(parseManifestReference(start + rest)).toEqual({ kind: 'tag', tag: start + rest });
      }),
    );
  });

  test('agrees with the grammar on any text', () => {
    const almost = fc.string({
      unit: fc.constantFrom(...Array.from('aZ0_.-/:\n +')),
      maxLength: 10,
    });
    fc.assert(
      fc.property(fc.oneof(almost, fc.string({ unit: 'binary' })), (text) => {
        const isTag =
          /^[a-zA-Z0-9_]/.test(text) &&
          text.length <= 128 &&
          Array.from(text).every((c) => /[a-zA-Z0-9_.-]/.test(c));
        expect(parseTag(text) !== undefined).toBe(isTag);
      }),
    );
  });

  test('counts 128 characters and no more', () => {
    expect(parseTag('a'.repeat(128))).toBeDefined();
    expect(parseTag('a'.repeat(129))).toBeUndefined();
  });
});

describe('parseManifestReference', () => {
  test('takes a digest for a digest, and nothing else with a colon', () => {
    const digest = digestOf(Buffer.from('x'));
    expect(parseManifestReference(digest)).toEqual({ kind: 'digest', digest });
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        expect(parseManifestReference(`${before}:${after}`)).toBeUndefined();
      }),
    );
  });
});

describe('parseUploadId', () => {
  test('takes every random UUID in lower case, and no other spelling of it', () => {
    fc.assert(
      fc.property(fc.uuid(), (id) => {
        expect(parseUploadId(id)).toBe(id);
        expect(parseUploadId(`${id}\n`)).toBeUndefined();
        expect(parseUploadId(`{${id}}`)).toBeUndefined();
        expect(parseUploadId(id.replaceAll('-', ''))).toBeUndefined();
        if (/[a-f]/.test(id)) expect(parseUploadId(id.toUpperCase())).toBeUndefined();
      }),
    );
  });

  test('takes no path', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 36, maxLength: 36 }), (text) => {
        expect(parseUploadId(text)).toBeUndefined();
      }),
    );
  });
});
