import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import type { ContentSource } from '../../../shared/content/content-source.ts';
import type { MirrorNames } from '../../../shared/content/mirror-names.ts';
import type { WarmSource } from '../../../shared/content/warm/warm-image.ts';
import type { PullReference } from '../../../shared/oci/pull-reference.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import type { BlobPull } from '../blob-pull.ts';
import type { ManifestPull } from '../manifest-pull.ts';

export interface WarmPulls {
  readonly names: MirrorNames<UpstreamConfig>;
  readonly local: Pick<ContentSource<RepositoryName>, 'blobStat'>;
  readonly manifests: Pick<ManifestPull, 'pull'>;
  readonly blobs: Pick<BlobPull, 'hold'>;
}

/** An upstream's repository in this process, without a client. Undefined for what was pushed here. */
export async function warmSource(
  { name, namespace }: Omit<PullReference, 'reference'>,
  { names, local, manifests, blobs }: WarmPulls,
  signal: AbortSignal,
): Promise<WarmSource | undefined> {
  const meaning = await names.resolve({ name, namespace }, signal);
  if (meaning.kind === 'local') return undefined;
  if (meaning.kind === 'refused') throw new Error('its upstream is configured not to give it');
  if (meaning.kind === 'unknown') throw new Error('it names nothing that this mirror knows');
  const repository = { ...meaning, isBackground: true } as const;
  return {
    manifest: async (reference) => {
      const content = await manifests.pull(repository, reference, signal);
      if (!content) throw new Error('the upstream has no such image');
      return content;
    },
    blob: async (digest) => {
      if (await local.blobStat(repository.cached, digest, signal)) return 'held';
      if (await blobs.hold(repository, digest, signal)) return 'fetched';
      throw new Error(`${digest} could not be fetched and kept`);
    },
  };
}
