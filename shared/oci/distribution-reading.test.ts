import { describe, expect, test } from '@jest/globals';

import { type DistributionReading, readAsDistribution } from './distribution-reading.ts';
import { MEDIA_TYPES } from './media-types.ts';

const { ociManifest, ociIndex, dockerManifest, dockerList } = MEDIA_TYPES;
const ONE = `sha256:${'1'.repeat(64)}`;
const TWO = `sha256:${'2'.repeat(64)}`;
const one = { mediaType: 'a/b', digest: ONE, size: 1 };
const two = { mediaType: 'a/b', digest: TWO, size: 2 };

const read = (body: unknown): DistributionReading =>
  readAsDistribution(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));

describe('distribution serves', () => {
  test.each([
    [ociManifest, { config: one, layers: [two], subject: 5, artifactType: [], blobs: 'x' }],
    [dockerManifest, { config: one, layers: [two], annotations: 5 }],
    [ociIndex, { manifests: [one, { ...two, platform: { architecture: 'a', os: 'b' } }] }],
    [dockerList, { manifests: [one, { ...two, platform: { os: 'b', features: ['sse4'] } }] }],
  ])('%s with what it names', (mediaType, body) => {
    expect(read({ schemaVersion: 2, mediaType, ...body })).toEqual({
      kind: 'served',
      mediaType,
      references: [ONE, TWO],
    });
  });

  test.each([
    ['an index', { manifests: [one] }, ociIndex],
    ['an empty index', { manifests: [] }, ociIndex],
    ['an image', { config: one, layers: [] }, ociManifest],
    ['an image', { config: one, layers: null, manifests: null }, ociManifest],
  ])('%s that does not name its media type', (_, body, mediaType) => {
    expect(read({ schemaVersion: 2, ...body })).toMatchObject({ kind: 'served', mediaType });
  });

  test('fields by their names in any case', () => {
    expect(
      read({ SchemaVersion: 2, mediatype: ociManifest, Config: { DIGEST: ONE } }),
    ).toMatchObject({ kind: 'served', references: [ONE] });
  });
});

describe('distribution refuses', () => {
  test.each([
    ['what is not JSON', '{', 'it is not JSON'],
    ['what is no object', '[]', 'it is not a JSON object'],
    ['nothing at all', 'null', 'it is not a JSON object'],
    ['another schema', { schemaVersion: 1 }, 'its schemaVersion is 1, and distribution knows 2'],
    ['no schema', { mediaType: ociIndex }, 'its schemaVersion is missing'],
    ['a version with a fraction', '{"schemaVersion":2.0}', 'its schemaVersion is not of the type'],
    ['another media type', { schemaVersion: 2, mediaType: 'a/b' }, 'its media type a/b is none'],
    [
      'the last of two media types, when it is another',
      `{"schemaVersion":2,"mediaType":"${ociManifest}","mediatype":"a/b"}`,
      'its media type a/b is none',
    ],
  ])('%s', (_, body, reason) => {
    expect(read(body)).toEqual({ kind: 'refused', reason: expect.stringContaining(reason) });
  });

  test.each([
    [ociManifest, { config: { ...one, size: '1' } }, 'config.size'],
    [ociManifest, { config: { ...one, data: '!' } }, 'config.data'],
    [ociManifest, { config: one, annotations: { a: 1 } }, 'annotations.a'],
    [dockerManifest, { config: one, layers: {} }, 'layers'],
    [ociIndex, { manifests: [{ ...one, platform: 'linux' }] }, 'manifests.0.platform'],
    [undefined, { manifests: [{ ...one, urls: 'x' }] }, 'manifests.0.urls'],
    [dockerList, { manifests: [{ platform: { features: 'x' } }] }, 'manifests.0.platform.features'],
  ])('%s with a field of another type: %#', (mediaType, body, place) => {
    expect(read({ schemaVersion: 2, mediaType, ...body })).toEqual({
      kind: 'refused',
      reason: `its ${place} is not of the type that distribution expects`,
    });
  });
});
