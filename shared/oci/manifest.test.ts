import { describe, expect, test } from '@jest/globals';

import { digestOf } from './digest.ts';
import { RegistryError } from './errors.ts';
import {
  detectManifestType,
  parseManifest,
  referrerDescriptor,
  type ParsedManifest,
} from './manifest.ts';
import { MEDIA_TYPES } from './media-types.ts';

const digest = digestOf(Buffer.from('content'));
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 7 };
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 7 };
const image = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociManifest as string,
  config,
  layers: [layer],
};
const index = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex as string,
  manifests: [{ mediaType: MEDIA_TYPES.ociManifest, digest, size: 7 }],
};

function parse(body: unknown, contentType?: string): ParsedManifest {
  return parseManifest(
    Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    contentType,
  );
}

function refusal(body: unknown, contentType?: string): RegistryError {
  try {
    parse(body, contentType);
  } catch (error) {
    if (error instanceof RegistryError) return error;
    throw error;
  }
  throw new Error('the manifest was accepted');
}

describe('parseManifest', () => {
  test('reads an image with its config and layers', () => {
    expect(parse(image, MEDIA_TYPES.ociManifest)).toEqual({
      mediaType: MEDIA_TYPES.ociManifest,
      kind: 'image',
      config,
      layers: [layer],
      manifests: [],
    });
  });

  test('reads an index with its children, whatever their types', () => {
    const blobChild = { mediaType: 'application/x-tar', digest, size: 1 };
    const parsed = parse({ ...index, manifests: [blobChild] });
    expect(parsed.kind).toBe('index');
    expect(parsed.manifests).toEqual([blobChild]);
  });

  test('reads subject, artifact type, annotations and urls', () => {
    const parsed = parse({
      ...image,
      subject: { mediaType: MEDIA_TYPES.ociManifest, digest, size: 3 },
      artifactType: 'application/x-signature',
      annotations: { a: 'b' },
      layers: [{ ...layer, urls: ['https://example.com/layer'], annotations: { c: 'd' } }],
    });
    expect(parsed).toMatchObject({
      subject: { digest, size: 3 },
      artifactType: 'application/x-signature',
      annotations: { a: 'b' },
      layers: [{ urls: ['https://example.com/layer'], annotations: { c: 'd' } }],
    });
  });

  test('ignores parameters of the content type', () => {
    const contentType = `${MEDIA_TYPES.ociManifest}; charset=utf-8`;
    expect(parse(image, contentType).mediaType).toBe(MEDIA_TYPES.ociManifest);
  });

  test('takes the type from the body, or from its fields, when none is announced', () => {
    expect(parse(image).mediaType).toBe(MEDIA_TYPES.ociManifest);
    const untyped = { ...index, mediaType: undefined };
    expect(parse(untyped).mediaType).toBe(MEDIA_TYPES.ociIndex);
  });

  test('takes the announced type when the body names none', () => {
    const untyped = { ...image, mediaType: undefined };
    expect(parse(untyped, MEDIA_TYPES.dockerManifest).mediaType).toBe(MEDIA_TYPES.dockerManifest);
  });

  test('accepts media types and artifacts it has never heard of', () => {
    const type = 'application/vnd.example.thing+json';
    expect(parse({ mediaType: type, anything: [1] }, type)).toMatchObject({
      mediaType: type,
      kind: 'image',
      layers: [],
    });
    const custom = { ...image, config: { ...config, mediaType: 'application/x-mine' }, extra: {} };
    expect(parse(custom).config?.mediaType).toBe('application/x-mine');
  });

  test('counts the blobs of an artifact manifest among the layers', () => {
    const type = 'application/vnd.oci.artifact.manifest.v1+json';
    expect(parse({ mediaType: type, blobs: [layer] }, type).layers).toEqual([layer]);
  });

  test('takes null lists as empty and absent layers as none', () => {
    expect(parse({ ...image, layers: null }).layers).toEqual([]);
    expect(parse({ ...index, manifests: null }).manifests).toEqual([]);
    expect(parse({ ...image, layers: undefined }).layers).toEqual([]);
  });

  test.each<[string, unknown, string?]>([
    ['no JSON', 'hello'],
    ['an array', []],
    ['another type than announced', image, MEDIA_TYPES.dockerManifest],
    ['layers and manifests', { ...index, layers: [] }],
    ['config and manifests', { ...index, config }],
    ['manifests in an image', { schemaVersion: 2, manifests: [] }, MEDIA_TYPES.ociManifest],
    ['an image without config', { ...image, config: undefined }],
    ['an index without manifests', { ...index, manifests: undefined }],
    ['a wrong schema version', { ...image, schemaVersion: 3 }],
    ['schema 1', { schemaVersion: 1, fsLayers: [] }],
    [
      'schema 1 by its type',
      {},
      'application/vnd.docker.distribution.manifest.v1+prettyjws; charset=utf-8',
    ],
    ['a content type that is none', { schemaVersion: 2 }, 'nonsense'],
    ['a media type with a line break', { ...image, mediaType: 'a/b\r\nSet-Cookie: c' }],
    ['a media type that is no string', { ...image, mediaType: 4 }],
    ['layers that are no list', { ...image, layers: {} }],
    ['a layer that is no descriptor', { ...image, layers: ['x'] }],
    ['a descriptor without type', { ...image, config: { digest, size: 1 } }],
    ['a short digest', { ...image, config: { ...config, digest: 'sha256:abc' } }],
    ['an upper-case digest', { ...image, config: { ...config, digest: digest.toUpperCase() } }],
    ['a digest that climbs', { ...image, config: { ...config, digest: 'sha256:../../x' } }],
    ['a negative size', { ...image, config: { ...config, size: -1 } }],
    ['a broken size', { ...image, config: { ...config, size: 1.5 } }],
    ['a size as text', { ...image, config: { ...config, size: '7' } }],
    ['annotations that are no object', { ...image, annotations: ['x'] }],
    ['an annotation that is no string', { ...image, annotations: { a: 1 } }],
    ['a subject that is no descriptor', { ...image, subject: 'x' }],
    ['an artifact type that is no string', { ...image, artifactType: {} }],
    ['Layers beside manifests', { ...index, Layers: [layer] }],
    ['a second config in another case', { ...image, CONFIG: config }],
    ['layers with a long s', { ...image, layers: undefined, 'layer\u017f': [layer] }],
    ['a second media type in another case', { ...image, mediaTYPE: 'a/b' }],
    ['a descriptor with two digests', { ...image, config: { ...config, Digest: digest } }],
    ['a descriptor with two sizes', { ...image, layers: [{ ...layer, SIZE: 1 }] }],
    ['an index type in another case', index, 'application/vnd.OCI.image.index.v1+json'],
    [
      'a list type in capitals in the body',
      { ...image, mediaType: MEDIA_TYPES.dockerList.toUpperCase() },
    ],
    ['schema 1 in another case', {}, 'application/vnd.docker.distribution.Manifest.v1+json'],
    ['two types in one header', image, `${MEDIA_TYPES.ociManifest}, ${MEDIA_TYPES.ociIndex}`],
    ['a type with a tab', {}, 'application/json\ta'],
    ['urls that are no strings', { ...image, layers: [{ ...layer, urls: [1] }] }],
  ])('refuses %s', (...[, body, contentType]) => {
    const error = refusal(body, contentType);
    expect(error.code).toBe('MANIFEST_INVALID');
    expect(error.status).toBe(400);
    expect(error.message).toMatch(/^manifest invalid: /);
  });

  test.each(['1e400', '9007199254740993'])(
    'refuses the size %s, which is no exact number',
    (size) => {
      const body = JSON.stringify(image).replace('"size":7', `"size":${size}`);
      expect(refusal(body).message).toContain('size');
    },
  );

  test('takes annotations and foreign fields in any case', () => {
    const body = {
      ...image,
      annotations: { Layers: 'x', layers: 'y' },
      layerCount: 1,
      Platform: 1,
    };
    expect(parse(body).layers).toEqual([layer]);
  });

  test('takes 28,000 descriptors, the most that 4 MiB hold', () => {
    const layers = Array.from({ length: 28_000 }, () => layer);
    expect(parse({ ...image, layers }).layers).toHaveLength(28_000);
  });

  test('tells a client of schema 1 what to push instead', () => {
    expect(refusal({ schemaVersion: 1 }).message).toContain('push schema 2 or OCI');
  });
});

describe('detectManifestType', () => {
  test.each<[string, unknown, string, boolean]>([
    ['the type in the bytes', { mediaType: 'application/x-y' }, 'application/x-y', true],
    ['an index by its manifests', { manifests: [] }, MEDIA_TYPES.ociIndex, false],
    ['an image by its fields', { config, layers: [] }, MEDIA_TYPES.ociManifest, false],
    ['an image of a type that is none', { mediaType: 'x' }, MEDIA_TYPES.ociManifest, false],
    [
      'signed schema 1',
      { schemaVersion: 1, signatures: [] },
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      false,
    ],
    [
      'schema 1',
      { schemaVersion: 1 },
      'application/vnd.docker.distribution.manifest.v1+json',
      false,
    ],
  ])('tells %s', (_, body, mediaType, isCertain) => {
    expect(detectManifestType(Buffer.from(JSON.stringify(body)))).toEqual({ mediaType, isCertain });
  });

  test('guesses an image for bytes that are no manifest', () => {
    expect(detectManifestType(Buffer.from('nothing')).isCertain).toBe(false);
  });
});

describe('referrerDescriptor', () => {
  const size = 100;

  test('carries the own artifact type and the annotations', () => {
    const parsed = parse({ ...image, artifactType: 'a/b', annotations: { x: 'y' } });
    expect(referrerDescriptor(parsed, digest, size)).toEqual({
      mediaType: MEDIA_TYPES.ociManifest,
      digest,
      size,
      artifactType: 'a/b',
      annotations: { x: 'y' },
    });
  });

  test('falls back to the media type of the config for an image', () => {
    expect(referrerDescriptor(parse(image), digest, size).artifactType).toBe(config.mediaType);
  });

  test('has no artifact type for an index without one', () => {
    expect(referrerDescriptor(parse(index), digest, size)).toEqual({
      mediaType: MEDIA_TYPES.ociIndex,
      digest,
      size,
    });
  });
});
