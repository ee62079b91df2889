import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';

import { parseJsonBody } from './json-request.ts';
import { requireOwnPage } from './own-page.ts';

const schema = z.object({ label: z.string().max(64), days: z.number().int().optional() });
const parse = (body: string, contentType: string | undefined = 'application/json'): unknown =>
  parseJsonBody(contentType, Buffer.from(body), schema);

describe('the body of a management request', () => {
  test.each(['application/json', 'Application/JSON', 'application/json; charset=utf-8'])(
    'is read as %s',
    (contentType) => {
      expect(parse('{"label":"laptop"}', contentType)).toEqual({ label: 'laptop' });
    },
  );

  test.each([
    undefined,
    '',
    'application/json\ta',
    ' application/json',
    'Application/JSON ;',
    'application/json;',
    'application/json, text/plain',
    'application/json; charset=utf-7',
    'application/jsonx',
    'text/plain',
    'text/plain; a=application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
  ])('is refused as %j', (contentType) => {
    expect(() => parseJsonBody(contentType, Buffer.from('{"label":"x"}'), schema)).toThrow(
      expect.objectContaining({ status: 415 }),
    );
  });

  test.each([
    ['a field that nobody named', '{"label":"x","isAdmin":true}'],
    ['a prototype', '{"label":"x","__proto__":{"isAdmin":true}}'],
    ['a constructor', '{"label":"x","constructor":{}}'],
    ['one field twice', '{"label":"x","label":"y"}'],
    ['another type', '{"label":1}'],
    ['no JSON', '{"label":'],
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['a number that is none', '{"label":"x","days":1e400}'],
  ])('is refused with %s', (_title, body) => {
    expect(() => parse(body)).toThrow(expect.objectContaining({ status: 400 }));
  });
});

describe('a request that a cookie vouches for', () => {
  const ours = 'https://registry.example';
  const ask = (method: string, headers: Record<string, string>) => () => {
    requireOwnPage(method, headers, ours);
  };

  test('passes from our own pages, and when it only reads', () => {
    expect(ask('POST', { origin: ours, 'sec-fetch-site': 'same-origin' })).not.toThrow();
    expect(ask('DELETE', { origin: ours })).not.toThrow();
    expect(ask('GET', {})).not.toThrow();
    expect(ask('HEAD', { origin: 'https://evil.example' })).not.toThrow();
  });

  test.each([
    ['no word of where it comes from', {}],
    ['a foreign origin', { origin: 'https://evil.example' }],
    ['an origin that hides', { origin: 'null' }],
    ['our host without encryption', { origin: 'http://registry.example' }],
    ['our host on another port', { origin: 'https://registry.example:444' }],
    ['a foreign site that claims our origin', { origin: ours, 'sec-fetch-site': 'cross-site' }],
    ['another host of our site', { origin: ours, 'sec-fetch-site': 'same-site' }],
    ['a site alone', { 'sec-fetch-site': 'same-origin' }],
  ])('is refused with %s', (_title, headers) => {
    expect(ask('POST', headers as Record<string, string>)).toThrow(
      expect.objectContaining({ status: 403 }),
    );
  });
});
