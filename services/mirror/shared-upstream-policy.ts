import type { Access, AccessPolicy, Principal } from '../../shared/auth/access.ts';
import type { UpstreamConfig } from '../../shared/config/upstream-config.ts';
import type { MirrorNames } from '../../shared/content/mirror-names.ts';
import { parseRepositoryName } from '../../shared/oci/reference.ts';

/** What an account of the mirror may read at an upstream is for those alone who are signed in. */
export class SharedUpstreamPolicy implements AccessPolicy {
  readonly #inner: AccessPolicy;
  readonly #names: MirrorNames<UpstreamConfig>;

  constructor(inner: AccessPolicy, names: MirrorNames<UpstreamConfig>) {
    this.#inner = inner;
    this.#names = names;
  }

  async allows(principal: Principal, access: Access, signal: AbortSignal): Promise<boolean> {
    if (!(await this.#inner.allows(principal, access, signal))) return false;
    if (access.type === 'registry' || principal.kind !== 'anonymous') return true;
    const name = parseRepositoryName(access.name);
    if (!name) return false;
    const meaning = await this.#names.resolve({ name, namespace: undefined }, signal);
    return meaning.kind !== 'upstream' || meaning.upstream.private === 'refuse';
  }
}
