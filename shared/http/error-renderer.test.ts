import { describe, expect, test } from '@jest/globals';

import { OCI_ERRORS, type OciErrorCode, registryError } from '../oci/errors.ts';
import {
  DigestMismatchError,
  RangeNotSatisfiableError,
  SizeMismatchError,
  StorageError,
  UploadOffsetError,
  UploadUnknownError,
} from '../storage/errors.ts';
import { renderError } from './error-renderer.ts';

describe('renderError', () => {
  test.each(Object.keys(OCI_ERRORS) as OciErrorCode[])('%s keeps its code and status', (code) => {
    const { status, message } = OCI_ERRORS[code];
    expect(code).toMatch(/^[A-Z_]+$/);
    expect(message).not.toBe('');
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(renderError(registryError(code))).toEqual({
      code,
      status,
      message,
      detail: undefined,
      headers: {},
      isFault: status >= 500,
    });
  });

  test('what an error says for itself goes before the table', () => {
    const error = registryError('UNSUPPORTED', {
      status: 415,
      message: 'no',
      detail: { a: 1 },
      headers: { Allow: 'GET' },
    });
    expect(renderError(error)).toMatchObject({
      code: 'UNSUPPORTED',
      status: 415,
      message: 'no',
      detail: { a: 1 },
      headers: { Allow: 'GET' },
      isFault: false,
    });
  });

  test.each<[Error, number, OciErrorCode, Record<string, string>, boolean]>([
    [new StorageError('blob.put', 'disk full'), 503, 'UNAVAILABLE', { 'Retry-After': '5' }, true],
    [
      new RangeNotSatisfiableError(7),
      416,
      'RANGE_INVALID',
      { 'Content-Range': 'bytes */7' },
      false,
    ],
    [new UploadOffsetError(7), 416, 'BLOB_UPLOAD_INVALID', {}, false],
    [new UploadUnknownError('x', 'gone'), 404, 'BLOB_UPLOAD_UNKNOWN', {}, false],
    [new DigestMismatchError('x'), 400, 'DIGEST_INVALID', {}, false],
    [new SizeMismatchError('x'), 400, 'SIZE_INVALID', {}, false],
    [new TypeError('secret internals'), 500, 'UNKNOWN', {}, true],
  ])('%s is answered with %i %s', (error, status, code, headers, isFault) => {
    expect(renderError(error)).toMatchObject({ status, code, headers, isFault });
  });

  test('nothing of a fault is told to the client', () => {
    for (const error of [new Error('/data/secret'), new StorageError('x', '/data/secret'), 'x']) {
      expect(JSON.stringify(renderError(error))).not.toContain('secret');
    }
  });
});
