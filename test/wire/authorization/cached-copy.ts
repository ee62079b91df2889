import { Readable } from 'node:stream';

import type { MemberKind } from '../../../shared/index/ports.ts';
import { createStoreIndex } from '../../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import type { Digest } from '../../../shared/oci/digest.ts';
import { MEDIA_TYPES } from '../../../shared/oci/media-types.ts';
import { parseRepositoryName, parseTag } from '../../../shared/oci/reference.ts';
import { FilesystemBlobStore } from '../../../shared/storage/filesystem/filesystem-blob-store.ts';
import { FilesystemRecordStore } from '../../../shared/storage/filesystem/filesystem-record-store.ts';
import { unending } from '../../../shared/storage/testing/contract-support.ts';
import { TAG } from './contents.ts';
import { CONTENT } from './names.ts';

/**
 * Writes what a mirror has pulled of `cached/app` into the store, proved public. No mirror could pull it here: upstreams
 * of projects that people make are spoken to at public addresses alone.
 */
export async function storeCachedCopy(folder: string, upstreamUrl: string): Promise<void> {
  const records = new FilesystemRecordStore(folder);
  const blobs = new FilesystemBlobStore(folder);
  const index = createStoreIndex(records, systemClock);
  const [repository, tag, multi] = [
    parseRepositoryName('cached/app')!,
    parseTag(TAG)!,
    parseTag('multi')!,
  ];
  await index.origins.put(
    repository,
    {
      schemaVersion: 1,
      upstreamUrl,
      upstreamRepository: 'app',
      verdict: 'public',
      provedAt: new Date().toISOString(),
    },
    unending,
  );
  const content = CONTENT.cached;
  const { config, layer, manifest, referrer } = content;
  const store = async (kind: MemberKind, digest: Digest, bytes: Buffer): Promise<void> => {
    await blobs.put(digest, Readable.from([bytes]), bytes.length, unending);
    await index.members.add(repository, kind, digest, unending);
  };
  for (const { digest, bytes } of [config, layer]) await store('blob', digest, bytes);
  await store('blob', content.layer512, layer.bytes);
  for (const { digest, bytes } of [manifest, referrer, content.index]) {
    await store('manifest', digest, bytes);
  }
  await store('manifest', content.manifest512, manifest.bytes);
  const subject = manifest.digest;
  const described = {
    mediaType: MEDIA_TYPES.ociManifest,
    digest: referrer.digest,
    size: referrer.bytes.length,
  };
  await index.referrers.add(repository, subject, described, unending);
  await index.tags.set(repository, tag, subject, unending);
  await index.tags.set(repository, multi, content.index.digest, unending);
}
