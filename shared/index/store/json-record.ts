import { z } from 'zod';

import { type Digest, parseDigest } from '../../oci/digest.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { StorageError } from '../../storage/errors.ts';
import { type OriginMarker, PROJECT_ROLES, type ProjectRecord } from '../ports.ts';

const schemaVersion = z.literal(1);

const digest = z.custom<Digest>(
  (value) => typeof value === 'string' && parseDigest(value) !== undefined,
);

const descriptor = z.object({
  mediaType: z.string(),
  digest,
  size: z.number().int().nonnegative(),
  artifactType: z.string().exactOptional(),
  annotations: z.record(z.string(), z.string()).exactOptional(),
  urls: z.array(z.string()).exactOptional(),
}) satisfies z.ZodType<Descriptor>;

const role = z.enum(PROJECT_ROLES);

/** The JSON records of the index, each with the version of its schema. Unknown fields are dropped. */
export const projectRecordSchema = z.object({
  schemaVersion,
  name: z.string(),
  createdAt: z.string(),
  adopted: z.boolean().exactOptional(),
  revision: z.number().int().nonnegative().exactOptional(),
  id: z.string().exactOptional(),
  createdBy: z.string().exactOptional(),
  visibility: z.enum(['public', 'private']).exactOptional(),
  members: z.array(z.object({ id: z.string(), role })).exactOptional(),
  groups: z.array(z.object({ group: z.string(), role })).exactOptional(),
  quotaBytes: z.number().int().nonnegative().exactOptional(),
  immutableTags: z.array(z.string()).exactOptional(),
  upstream: z
    .object({
      url: z.string(),
      hosts: z.array(z.string()).exactOptional(),
      isConfigured: z.literal(true).exactOptional(),
      passThrough: z.literal(true).exactOptional(),
    })
    .exactOptional(),
  rootPath: z.boolean().exactOptional(),
  closed: z.boolean().exactOptional(),
  renamedTo: z.string().exactOptional(),
  renamedFrom: z.string().exactOptional(),
}) satisfies z.ZodType<ProjectRecord>;

export const originMarkerSchema = z.object({
  schemaVersion,
  upstreamUrl: z.string(),
  upstreamRepository: z.string(),
  verdict: z.enum(['public', 'shared', 'private', 'unknown']),
  provedAt: z.string().exactOptional(),
}) satisfies z.ZodType<OriginMarker>;

export const referrerRecordSchema = z.object({ schemaVersion, descriptor });

export const manifestTypeRecordSchema = z.object({ schemaVersion, mediaType: z.string() });

export function formatJsonRecord(record: unknown): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

/** The record that the bytes hold; bytes that do not fit the schema are a fault of the store, never an absence. */
export function requireJsonRecord<T>(bytes: Buffer, schema: z.ZodType<T>, key: string): T {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new StorageError('index.record', `the record ${key} cannot be read`, cause);
  }
}
