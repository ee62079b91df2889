import type { BlockList } from '../../../shared/content/blocks/block-list.ts';
import type { Digest } from '../../../shared/oci/digest.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../../shared/oci/reference.ts';
import type { Failure, Outcome } from './outcome.ts';
import type { Upstream } from './routed-upstream.ts';

interface Asked {
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/**
 * The upstream without what operators have blocked: nothing of that is asked for, whoever wants it (a client, warming,
 * what completes images in the background), and what a tag turns out to name is not given out. So nothing of it is ever
 * stored.
 */
export function withoutBlocked(
  upstream: Upstream,
  project: string,
  blocks: Pick<BlockList, 'blockOf'>,
): Upstream {
  const blockOf = async (
    name: RepositoryName,
    asked: Asked,
    signal: AbortSignal,
  ): Promise<Failure | undefined> => {
    const repository = `${project}/${name}` as RepositoryName;
    const error = await blocks.blockOf({ repository, ...asked }, signal);
    return error && { kind: 'blocked', error };
  };
  /** Looked at twice: what a tag names is known afterwards. */
  const manifest = async <Value extends { readonly digest: Digest | undefined }>(
    name: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
    ask: () => Promise<Outcome<Value>>,
  ): Promise<Outcome<Value>> => {
    const asked: Asked =
      reference.kind === 'tag' ? { tag: reference.tag } : { digest: reference.digest };
    const block = await blockOf(name, asked, signal);
    if (block) return block;
    const outcome = await ask();
    if (outcome.kind !== 'found' || !outcome.value.digest) return outcome;
    return (await blockOf(name, { ...asked, digest: outcome.value.digest }, signal)) ?? outcome;
  };
  return {
    headManifest: (name, reference, signal) =>
      manifest(name, reference, signal, () => upstream.headManifest(name, reference, signal)),
    getManifest: (name, reference, signal) =>
      manifest(name, reference, signal, () => upstream.getManifest(name, reference, signal)),
    headBlob: async (name, digest, signal) =>
      (await blockOf(name, { digest }, signal)) ?? upstream.headBlob(name, digest, signal),
    openBlob: async (name, digest, fromByte, signal) =>
      (await blockOf(name, { digest }, signal)) ??
      upstream.openBlob(name, digest, fromByte, signal),
    tagList: async (name, signal) =>
      (await blockOf(name, {}, signal)) ?? upstream.tagList(name, signal),
    referrers: async (name, subject, signal) =>
      (await blockOf(name, {}, signal)) ?? upstream.referrers(name, subject, signal),
    findRepository: async (name, signal) =>
      (await blockOf(name, {}, signal)) ?? upstream.findRepository(name, signal),
  };
}
