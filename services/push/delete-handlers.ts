import { immutableTagsOf } from '../../shared/content/immutable-tags.ts';
import { immutable, type ManifestStore } from '../../shared/content/manifest-store.ts';
import type { PushNames } from '../../shared/content/push-names.ts';
import type { Projects } from '../../shared/content/projects.ts';
import type { ProjectQuotas } from '../../shared/management/quotas/project-quotas.ts';
import type { V2Handlers } from '../../shared/http/v2-exchange.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import { crashPoint } from '../../shared/lifecycle/crash-point.ts';
import { registryError } from '../../shared/oci/errors.ts';
import {
  firstSegment,
  type ManifestReference,
  type RepositoryName,
} from '../../shared/oci/reference.ts';

export interface DeleteDependencies {
  readonly manifests: ManifestStore;
  readonly index: Pick<RegistryIndex, 'members' | 'tags' | 'origins'>;
  readonly projects: Pick<Projects, 'find'>;
  readonly names: Pick<PushNames, 'requireNotRenamed'>;
  readonly quotas: Pick<ProjectQuotas, 'changed'>;
}

/** Takes a manifest or a tag out of a repository that was pushed. Throws RegistryError where that cannot be done. */
export type RemoveManifest = (
  name: RepositoryName,
  reference: ManifestReference,
  signal: AbortSignal,
) => Promise<void>;

/** Tags that the rules of a project keep are not removed, neither by themselves nor with their manifest. */
export function manifestRemoval({
  manifests,
  index,
  projects,
  names,
  quotas,
}: DeleteDependencies): RemoveManifest {
  return async (name, reference, signal) => {
    await requirePushed(index, name, signal);
    await names.requireNotRenamed(name, signal);
    const project = await projects.find(firstSegment(name), signal);
    if ((project?.immutableTags ?? []).length > 0) {
      const isImmutable = immutableTagsOf(project);
      if (reference.kind === 'digest') {
        await manifests.requireNoImmutableTag(name, reference.digest, isImmutable, signal);
      } else if (isImmutable(reference.tag)) throw immutable(name, reference.tag);
    }
    const isDeleted =
      reference.kind === 'tag'
        ? await index.tags.delete(name, reference.tag, signal)
        : await manifests.delete(name, reference.digest, signal);
    if (!isDeleted) {
      const word = reference.kind === 'tag' ? reference.tag : reference.digest;
      throw registryError('MANIFEST_UNKNOWN', { detail: { name, reference: word } });
    }
    quotas.changed(project);
  };
}

/**
 * Deletes of manifests, tags and blobs (spec.md#content-management). They take content out of one repository; its
 * bytes stay for others that hold them. Cached copies are not deleted here: they would come back with the next pull.
 */
export function createDeleteHandlers(
  removeManifest: RemoveManifest,
  { index, projects, names, quotas }: DeleteDependencies,
): Pick<V2Handlers, 'manifestDelete' | 'blobDelete'> {
  return {
    manifestDelete: async (exchange) => {
      const { request, signal } = exchange;
      await removeManifest(request.name, request.reference, signal);
      await exchange.send({ status: 202 });
    },
    blobDelete: async (exchange) => {
      const { request, signal } = exchange;
      const { name, digest } = request;
      await requirePushed(index, name, signal);
      await names.requireNotRenamed(name, signal);
      if (!(await index.members.remove(name, 'blob', digest, signal))) {
        throw registryError('BLOB_UNKNOWN', { detail: { name, digest } });
      }
      crashPoint('blob.unlinked');
      quotas.changed(await projects.find(firstSegment(name), signal));
      await exchange.send({ status: 202 });
    },
  };
}

async function requirePushed(
  { origins }: Pick<RegistryIndex, 'origins'>,
  name: RepositoryName,
  signal: AbortSignal,
): Promise<void> {
  const origin = await origins.get(name, signal);
  if (!origin) return;
  throw registryError('DENIED', {
    message: `${name} is a cached copy of ${origin.upstreamRepository} at ${origin.upstreamUrl}: it is not deleted here`,
    detail: { name },
  });
}
