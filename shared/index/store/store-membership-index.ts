import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/reference.ts';
import { layerLinkKey, revisionLinkKey } from '../../storage/object-keys.ts';
import type { RecordStore } from '../../storage/record-store.ts';
import type { MemberKind, MembershipIndex } from '../ports.ts';
import { formatLink } from './store-link.ts';

function linkKey(repository: RepositoryName, kind: MemberKind, digest: Digest): string {
  return kind === 'blob' ? layerLinkKey(repository, digest) : revisionLinkKey(repository, digest);
}

/**
 * Membership straight from the store: content belongs to a repository exactly when its link exists. The key alone
 * tells the digest, so a link with damaged bytes still counts.
 */
export class StoreMembershipIndex implements MembershipIndex {
  readonly #records: RecordStore;

  constructor(records: RecordStore) {
    this.#records = records;
  }

  async has(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean> {
    const bytes = await this.#records.get(linkKey(repository, kind, digest), signal);
    return bytes !== undefined;
  }

  async add(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#records.put(linkKey(repository, kind, digest), formatLink(digest), signal);
  }

  async remove(
    repository: RepositoryName,
    kind: MemberKind,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!(await this.has(repository, kind, digest, signal))) return false;
    await this.#records.delete(linkKey(repository, kind, digest), signal);
    return true;
  }
}
