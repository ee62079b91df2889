import type { Descriptor } from './descriptor.ts';
import { type Digest, parseDigest } from './digest.ts';
import type { RegistryError } from './errors.ts';
import { registryError } from './errors.ts';
import { parseUntrustedJson } from './json-guard.ts';
import { isIndexType, MEDIA_TYPES } from './media-types.ts';

/** What a registry needs to know of a manifest. The bytes, not this value, are what is stored and served. */
export interface ParsedManifest {
  /** As pushed, without parameters. */
  readonly mediaType: string;
  /** `index`: it lists other content under `manifests`; anything else is an `image`. */
  readonly kind: 'image' | 'index';
  readonly config?: Descriptor;
  /** `layers` of an image, or `blobs` of an artifact manifest. */
  readonly layers: readonly Descriptor[];
  /** Children of an index, of any media type. */
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** RFC 6838, 4.2: what may stand in a Content-Type header without harm. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i;

const SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+json';
const SIGNED_SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** The four types whose shape is known and held against their specification. */
const KNOWN_TYPES: ReadonlySet<string> = new Set(Object.values(MEDIA_TYPES));

/** Fields whose names a reader that ignores case, as Go's does, finds in any spelling. */
const MANIFEST_FIELDS = fieldsByFold([
  'schemaVersion',
  'mediaType',
  'config',
  'layers',
  'blobs',
  'manifests',
  'subject',
  'artifactType',
  'annotations',
]);
const DESCRIPTOR_FIELDS = fieldsByFold([
  'mediaType',
  'digest',
  'size',
  'artifactType',
  'annotations',
  'urls',
  'data',
  'platform',
]);

function invalid(message: string, cause?: unknown): RegistryError {
  return registryError('MANIFEST_INVALID', { message: `manifest invalid: ${message}`, cause });
}

/**
 * Reads a manifest as it was pushed with `contentType` (parameters are ignored; without it the bytes decide). Any JSON
 * object of any media type is accepted, since the distribution spec lets nobody refuse unknown ones, as long as the
 * fields that OCI names have OCI's shape. Throws MANIFEST_INVALID: not JSON, too deep, a key given twice, another
 * `mediaType` in the body than in the header, both `layers` and `manifests` (CVE-2021-41190), a field or known type in
 * another case, which some readers take for the real one, a digest or size that is none, or Docker's schema 1.
 */
export function parseManifest(bytes: Buffer, contentType: string | undefined): ParsedManifest {
  const body = parseObject(bytes);
  refuseLookalikes(body, MANIFEST_FIELDS, '');
  const mediaType = requireMediaType(body, contentType);
  refuseSchema1(body, mediaType);

  const hasChildren = isPresent(body['manifests']);
  const hasLayers = isPresent(body['layers']) || isPresent(body['blobs']);
  if (hasChildren && (hasLayers || isPresent(body['config']))) {
    throw invalid('it has the fields of both an image and an index');
  }
  const kind = isIndexType(mediaType) || hasChildren ? 'index' : 'image';
  if (KNOWN_TYPES.has(mediaType)) requireKnownShape(body, mediaType, kind);

  return {
    mediaType,
    kind,
    ...optional('config', descriptor(body['config'], 'config')),
    layers: [...descriptors(body['layers'], 'layers'), ...descriptors(body['blobs'], 'blobs')],
    manifests: descriptors(body['manifests'], 'manifests'),
    ...optional('subject', descriptor(body['subject'], 'subject')),
    ...optional('artifactType', text(body['artifactType'], 'artifactType')),
    ...optional('annotations', annotations(body['annotations'], 'annotations')),
  };
}

/** The media type that a manifest's bytes tell; `isCertain` when they name it, else it is a guess by their fields. */
export interface DetectedManifestType {
  readonly mediaType: string;
  readonly isCertain: boolean;
}

/**
 * The media type that the bytes alone tell: their `mediaType`, else OCI's index or image manifest by their fields. For
 * content whose type nobody wrote down, as in a store of another registry. Never throws.
 */
export function detectManifestType(bytes: Buffer): DetectedManifestType {
  const guess = (mediaType: string): DetectedManifestType => ({ mediaType, isCertain: false });
  let body: JsonObject;
  try {
    body = parseObject(bytes);
  } catch {
    return guess(MEDIA_TYPES.ociManifest);
  }
  const own = body['mediaType'];
  if (typeof own === 'string' && MEDIA_TYPE.test(own)) return { mediaType: own, isCertain: true };
  if (body['schemaVersion'] === 1) return guess('signatures' in body ? SIGNED_SCHEMA_1 : SCHEMA_1);
  return guess(guessOciType(body));
}

const guessOciType = (body: JsonObject): string =>
  isPresent(body['manifests']) ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.ociManifest;

/**
 * How a manifest appears in the list of its subject's referrers (distribution-spec, spec.md#listing-referrers): with
 * its own artifact type, else with its config's media type where it is an image, and with its annotations.
 */
export function referrerDescriptor(
  parsed: ParsedManifest,
  digest: Digest,
  size: number,
): Descriptor {
  const artifactType =
    parsed.artifactType ?? (parsed.kind === 'image' ? parsed.config?.mediaType : undefined);
  return {
    mediaType: parsed.mediaType,
    digest,
    size,
    ...optional('artifactType', artifactType),
    ...optional('annotations', parsed.annotations),
  };
}

function parseObject(bytes: Buffer): JsonObject {
  let value: unknown;
  try {
    value = parseUntrustedJson(bytes);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : 'not JSON', error);
  }
  if (!isObject(value)) throw invalid('the body is not a JSON object');
  return value;
}

function requireMediaType(body: JsonObject, contentType: string | undefined): string {
  const announced = contentType?.split(';', 1)[0]?.trim();
  const own = text(body['mediaType'], 'mediaType');
  if (announced && own !== undefined && own !== announced) {
    throw invalid(`its mediaType is ${shown(own)}, but the Content-Type is ${shown(announced)}`);
  }
  const mediaType = announced === undefined || announced === '' ? own : announced;
  if (mediaType === undefined) return guessOciType(body);
  if (!MEDIA_TYPE.test(mediaType)) throw invalid(`${shown(mediaType)} is not a media type`);
  const lower = mediaType.toLowerCase();
  if (lower !== mediaType && (KNOWN_TYPES.has(lower) || isSchema1Type(lower))) {
    throw invalid(`the media type ${shown(mediaType)} must be written in lower case`);
  }
  return mediaType;
}

const isSchema1Type = (mediaType: string): boolean =>
  mediaType.startsWith('application/vnd.docker.distribution.manifest.v1+');

function refuseSchema1(body: JsonObject, mediaType: string): void {
  if (body['schemaVersion'] === 1 || isSchema1Type(mediaType)) {
    throw invalid(
      'docker image manifest version 2, schema 1 is not supported: push schema 2 or OCI',
    );
  }
}

function requireKnownShape(body: JsonObject, mediaType: string, kind: 'image' | 'index'): void {
  if (body['schemaVersion'] !== 2) throw invalid('schemaVersion must be 2');
  if (isIndexType(mediaType)) {
    if (!('manifests' in body)) throw invalid('an index needs manifests');
  } else if (kind === 'index') {
    throw invalid('an image manifest has no manifests');
  } else if (!isPresent(body['config'])) {
    throw invalid('an image manifest needs a config');
  }
}

/** Two readers of one document must not see two documents: `Layers` is a field for some and none for others. */
function refuseLookalikes(
  body: JsonObject,
  fields: ReadonlyMap<string, string>,
  place: string,
): void {
  for (const key of Object.keys(body)) {
    const field = fields.get(fold(key));
    if (field !== undefined && field !== key) {
      throw invalid(`the field ${place}${field} is written ${shown(key)}`);
    }
  }
}

function fieldsByFold(fields: readonly string[]): ReadonlyMap<string, string> {
  return new Map(fields.map((field) => [fold(field), field]));
}

/** By way of upper case, so that the long s and the Kelvin sign become the letters that they are taken for. */
function fold(key: string): string {
  return key.slice(0, 32).toUpperCase().toLowerCase();
}

function descriptors(value: unknown, field: string): Descriptor[] {
  if (!isPresent(value)) return [];
  if (!Array.isArray(value)) throw invalid(`${field} is not a list`);
  return value.map((item: unknown, index) => requireDescriptor(item, `${field}[${index}]`));
}

function descriptor(value: unknown, field: string): Descriptor | undefined {
  return isPresent(value) ? requireDescriptor(value, field) : undefined;
}

function requireDescriptor(value: unknown, field: string): Descriptor {
  if (!isObject(value)) throw invalid(`${field} is not a descriptor`);
  refuseLookalikes(value, DESCRIPTOR_FIELDS, `${field}.`);
  const mediaType = text(value['mediaType'], `${field}.mediaType`);
  if (!mediaType) throw invalid(`${field}.mediaType is missing`);
  const digest = parseDigest(text(value['digest'], `${field}.digest`) ?? '');
  if (!digest) throw invalid(`${field}.digest is not a sha256 or sha512 digest`);
  const size = value['size'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${field}.size is not a number of bytes`);
  }
  return {
    mediaType,
    digest,
    size,
    ...optional('artifactType', text(value['artifactType'], `${field}.artifactType`)),
    ...optional('annotations', annotations(value['annotations'], `${field}.annotations`)),
    ...optional('urls', urls(value['urls'], `${field}.urls`)),
  };
}

function annotations(value: unknown, field: string): Record<string, string> | undefined {
  if (!isPresent(value)) return undefined;
  if (!isObject(value)) throw invalid(`${field} is not an object`);
  const entries = Object.entries(value).map(([key, item]): [string, string] => {
    if (typeof item !== 'string') throw invalid(`${field}[${shown(key)}] is not a string`);
    return [key, item];
  });
  return Object.fromEntries(entries);
}

function urls(value: unknown, field: string): string[] | undefined {
  if (!isPresent(value)) return undefined;
  if (!Array.isArray(value)) throw invalid(`${field} is not a list`);
  return value.map((item: unknown) => {
    if (typeof item !== 'string') throw invalid(`${field} holds what is not a string`);
    return item;
  });
}

/** Absent and empty are the same: Go's encoders write one for the other. */
function text(value: unknown, field: string): string | undefined {
  if (!isPresent(value) || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(`${field} is not a string`);
  return value;
}

/** A `null` is an absent value: Go's encoders write it for an empty list. */
function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function optional<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): Partial<Record<Key, Value>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, Value>);
}

const shown = (value: string): string => JSON.stringify(value.slice(0, 128));
