import { type Digest, parseDigest } from '../../oci/digest.ts';
import { StorageError } from '../../storage/errors.ts';

/** A link record: the bare digest text without a line end, as the CNCF registry writes it. */
export function formatLink(digest: Digest): Buffer {
  return Buffer.from(digest, 'ascii');
}

/** The digest that a link names; undefined when the record is damaged. */
export function parseLink(bytes: Buffer): Digest | undefined {
  return parseDigest(bytes.toString('latin1'));
}

/** As parseLink; a damaged link is a fault of the store, never an absence. */
export function requireLink(bytes: Buffer, key: string): Digest {
  const digest = parseLink(bytes);
  if (!digest) throw new StorageError('index.link', `the link ${key} names no digest`);
  return digest;
}
