import type { VerifiedManifest } from '../../../shared/content/manifest-store.ts';
import { digestAlgorithm, digestOf } from '../../../shared/oci/digest.ts';
import { type ParsedManifest, parseManifest } from '../../../shared/oci/manifest.ts';
import type { ManifestReference } from '../../../shared/oci/reference.ts';
import { found, type Outcome, unavailable } from './outcome.ts';

/** Types that say nothing of a manifest: the bytes then decide. */
const VAGUE_TYPES: ReadonlySet<string> = new Set([
  'application/json',
  'application/octet-stream',
  'binary/octet-stream',
  'text/plain',
]);

/** The manifest that the bytes are, with their digest; asked for by digest they must have that one. */
export function readManifest(
  bytes: Buffer,
  contentType: string | undefined,
  reference: ManifestReference,
  host: string,
): Outcome<VerifiedManifest> {
  const algorithm = reference.kind === 'digest' ? digestAlgorithm(reference.digest) : 'sha256';
  const digest = digestOf(bytes, algorithm);
  if (reference.kind === 'digest' && reference.digest !== digest) {
    return unavailable('digest-mismatch', `${host} gave other bytes than were asked for`);
  }
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  let parsed: ParsedManifest;
  try {
    parsed = parseManifest(bytes, VAGUE_TYPES.has(type) ? undefined : contentType);
  } catch (error) {
    const what = error instanceof Error ? error.message : 'no manifest';
    return unavailable('garbage', `${host} gave ${what}`);
  }
  return found({ bytes, digest, parsed });
}
