import { z } from 'zod';

import { MEDIA_TYPES } from './media-types.ts';

/**
 * How the CNCF distribution registry, version 3, reads a manifest that lies in its store. What it refuses it answers
 * with 500, and its garbage collector stops there for the whole store.
 */
export type DistributionReading =
  | {
      readonly kind: 'served';
      /** The Content-Type of its answer. */
      readonly mediaType: string;
      /** The digests that it finds in the manifest; its garbage collector keeps these blobs and no others. */
      readonly references: readonly string[];
    }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Reads as distribution's registry/storage/manifeststore.go (v3.1) does with Go's encoding/json: names of fields in any
 * case, `null` anywhere, numbers without a fraction, and every field that it knows of the type that it expects. Fields
 * that it does not know (`subject`, `artifactType`, `blobs`) may be anything.
 */
export function readAsDistribution(bytes: Buffer): DistributionReading {
  let document: unknown;
  try {
    document = JSON.parse(
      bytes.toString('utf8'),
      asGoNumbers as (key: string, value: unknown) => unknown,
    );
  } catch {
    return refused('it is not JSON');
  }
  const head = versioned.safeParse(document);
  if (!head.success) return refused(complaint(head.error));
  const { schemaVersion, mediaType } = head.data;
  if (schemaVersion !== 2) {
    return refused(`its schemaVersion is ${schemaVersion ?? 'missing'}, and distribution knows 2`);
  }
  switch (mediaType ?? '') {
    case MEDIA_TYPES.dockerManifest:
    case MEDIA_TYPES.ociManifest:
      return readImage(document, mediaType ?? '');
    case MEDIA_TYPES.dockerList:
      return readIndex(document, dockerList, MEDIA_TYPES.dockerList);
    case MEDIA_TYPES.ociIndex:
      return readIndex(document, ociIndex, MEDIA_TYPES.ociIndex);
    case '':
      return readUntyped(document);
    default:
      return refused(`its media type ${mediaType ?? ''} is none that distribution knows`);
  }
}

const refused = (reason: string): DistributionReading => ({ kind: 'refused', reason });

/** Without a media type of its own it is read as an index first; a fault in that ends distribution's process. */
function readUntyped(document: unknown): DistributionReading {
  const index = ociIndex.safeParse(document);
  if (!index.success) return refused(complaint(index.error));
  return index.data.manifests
    ? readIndex(document, ociIndex, MEDIA_TYPES.ociIndex)
    : readImage(document, MEDIA_TYPES.ociManifest);
}

function readImage(document: unknown, mediaType: string): DistributionReading {
  const schema = mediaType === MEDIA_TYPES.ociManifest ? ociImage : dockerImage;
  const image = schema.safeParse(document);
  if (!image.success) return refused(complaint(image.error));
  const { config, layers } = image.data;
  const references = digestsOf([config, ...(layers ?? [])]);
  return { kind: 'served', mediaType, references };
}

function readIndex(
  document: unknown,
  schema: typeof ociIndex | typeof dockerList,
  mediaType: string,
): DistributionReading {
  const index = schema.safeParse(document);
  if (!index.success) return refused(complaint(index.error));
  return { kind: 'served', mediaType, references: digestsOf(index.data.manifests ?? []) };
}

function digestsOf(
  descriptors: readonly ({ readonly digest?: string | null | undefined } | null | undefined)[],
): string[] {
  return descriptors.flatMap((descriptor) => descriptor?.digest ?? []);
}

/** `.0` and exponents do not fit Go's integers, whatever they come to. */
function asGoNumbers(_: string, value: unknown, { source = '' }: { source?: string }): unknown {
  if (typeof value !== 'number') return value;
  return /^-?\d+$/.test(source) ? value : Number.NaN;
}

function complaint(error: z.ZodError): string {
  const [issue] = error.issues;
  const place = issue?.path.join('.') ?? '';
  return place === ''
    ? 'it is not a JSON object'
    : `its ${place} is not of the type that distribution expects`;
}

/** An object of which Go reads these fields by their names in any case, the last one where there are several. */
function struct<Shape extends z.ZodRawShape>(shape: Shape) {
  const names = new Map(Object.keys(shape).map((name) => [name.toLowerCase(), name]));
  const rename = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, field]): [string, unknown][] => {
        const name = names.get(key.toLowerCase());
        return name === undefined ? [] : [[name, field]];
      }),
    );
  };
  return z.preprocess(rename, z.object(shape));
}

const text = z.string().nullish();
const integer = z.int().nullish();
const texts = z.array(text).nullish();
const textsByName = z.record(z.string(), text).nullish();
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const base64 = z
  .string()
  .refine((value) => BASE64.test(value.replaceAll(/[\r\n]/g, '')))
  .nullish();

const platform = {
  architecture: text,
  os: text,
  'os.version': text,
  'os.features': texts,
  variant: text,
};
const descriptorFields = {
  mediaType: text,
  digest: text,
  size: integer,
  urls: texts,
  annotations: textsByName,
  data: base64,
  artifactType: text,
};
const descriptor = struct({ ...descriptorFields, platform: struct(platform).nullish() }).nullish();
const dockerListEntry = struct({
  ...descriptorFields,
  platform: struct({ ...platform, features: texts }).nullish(),
}).nullish();

const head = { schemaVersion: integer, mediaType: text };
const versioned = struct(head);
const dockerImage = struct({ ...head, config: descriptor, layers: z.array(descriptor).nullish() });
const ociImage = struct({
  ...head,
  config: descriptor,
  layers: z.array(descriptor).nullish(),
  annotations: textsByName,
});
const ociIndex = struct({
  ...head,
  manifests: z.array(descriptor).nullish(),
  annotations: textsByName,
});
const dockerList = struct({ ...head, manifests: z.array(dockerListEntry).nullish() });
