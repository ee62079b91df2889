import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { type ParsedManifest, referrerDescriptor } from '../oci/manifest.ts';
import { REFERRER_PAGE_BYTES } from './referrer-pages.ts';

/**
 * What is recorded of a manifest under its subject: its descriptor, without annotations where these alone would make it
 * too large for a page, or to be read as a record.
 */
export function listedReferrer(parsed: ParsedManifest, digest: Digest, size: number): Descriptor {
  const referrer = referrerDescriptor(parsed, digest, size);
  if (Buffer.byteLength(JSON.stringify(referrer)) < REFERRER_PAGE_BYTES) return referrer;
  return { ...referrer, annotations: {} };
}
