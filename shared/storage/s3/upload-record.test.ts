import { describe, expect, test } from '@jest/globals';

import { digestOf } from '../../oci/digest.ts';
import { emptyUpload, formatUpload, parseUpload, UnreadableUploadError } from './upload-record.ts';

const rest = Buffer.from('the bytes that stand in it\n{"kind":"committed"}');
const open = {
  ...emptyUpload('sha256'),
  offset: rest.length,
  digest: digestOf(rest),
  tail: { pieces: [], rest },
};
const parse = (bytes: Buffer): unknown => parseUpload('test', 'key', bytes);
const changed = (change: object): Buffer => {
  const [said = ''] = formatUpload(open).toString().split('\n', 1);
  const fields = { ...(JSON.parse(said) as object), ...change };
  return Buffer.concat([Buffer.from(`${JSON.stringify(fields)}\n`), rest]);
};

describe('the record of an upload session', () => {
  test('is read as it was written, with the bytes that stand in it', () => {
    expect(parse(formatUpload(open))).toEqual(open);
    const digest = digestOf(rest);
    const committed = { schemaVersion: 1, kind: 'committed', attempt: 'x', digest } as const;
    expect(parse(formatUpload(committed))).toEqual(committed);
  });

  test.each<[string, () => Buffer]>([
    ['that is empty', () => Buffer.alloc(0)],
    ['that was cut', () => formatUpload(open).subarray(0, -1)],
    ['that was cut in what it says', () => formatUpload(open).subarray(0, 40)],
    ['with more bytes than it says', () => Buffer.concat([formatUpload(open), Buffer.from('x')])],
    ['of another version', () => changed({ schemaVersion: 2 })],
    ['of another kind', () => changed({ kind: 'pickled' })],
    ['with a digest that is none', () => changed({ digest: 'sha256:../../x' })],
    ['with a digest of another algorithm', () => changed({ digest: 'md5:00', algorithm: 'md5' })],
    ['with an offset that is none', () => changed({ offset: -1 })],
    ['with parts that are none', () => changed({ segments: [{ key: 1 }] })],
    ['that is code', () => Buffer.from('cos\nsystem\n(S"id"\ntR.')],
  ])('%s is not believed (T-UP2)', (_what, bytes) => {
    expect(() => parse(bytes())).toThrow(UnreadableUploadError);
  });

  test('gives nothing a prototype', () => {
    const record = changed({}).toString().replace('{', '{"__proto__":{"polluted":true},');
    expect(parse(Buffer.from(record))).not.toHaveProperty('polluted');
    expect({}).not.toHaveProperty('polluted');
  });
});
