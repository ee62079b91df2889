import pLimit from 'p-limit';

import type { MembershipIndex, ReferrerIndex } from '../index/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestOf, parseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/reference.ts';
import { StorageError } from '../storage/errors.ts';
import { referrersFolder, referrersOfRepository, revisionsFolder } from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import { listedReferrer } from './listed-referrer.ts';
import type { ManifestStore } from './manifest-store.ts';
import { storedLinks } from './stored-links.ts';

const MANIFESTS_AT_ONCE = 16;

export interface ReferrerRebuildDependencies {
  readonly records: RecordStore;
  /** Over the store alone: what an index remembers is what is in doubt. */
  readonly manifests: ManifestStore;
  readonly members: MembershipIndex;
  /** What stands in the store. */
  readonly stored: ReferrerIndex;
  /** Where changes are made, so that running processes learn of them. */
  readonly referrers: ReferrerIndex;
}

export interface ReferrerRebuild {
  readonly manifests: number;
  /** Manifests with a subject. */
  readonly referrers: number;
  /** Records that were missing, or said something else. */
  readonly added: number;
  /** Records of manifests that are not in the repository any more. */
  readonly removed: number;
  /** Manifests whose bytes are not there or damaged, with the reason. */
  readonly unreadable: readonly string[];
}

/**
 * Makes the records of a repository's referrers what its manifests say. Safe beside pushes and deletes: whatever is
 * pushed or deleted meanwhile is listed, or not, as if it had come afterwards. Idempotent.
 */
export async function rebuildReferrers(
  repository: RepositoryName,
  dependencies: ReferrerRebuildDependencies,
  signal: AbortSignal,
): Promise<ReferrerRebuild> {
  return await new Rebuild(repository, dependencies, signal).run();
}

interface Referrer {
  readonly subject: Digest;
  readonly descriptor: Descriptor;
}

/** For each subject its referrers, with what their records must hold (contentOf). */
type Expected = Map<Digest, Map<Digest, Digest>>;

class Rebuild {
  readonly #repository: RepositoryName;
  readonly #deps: ReferrerRebuildDependencies;
  readonly #signal: AbortSignal;
  readonly #unreadable: string[] = [];

  constructor(
    repository: RepositoryName,
    dependencies: ReferrerRebuildDependencies,
    signal: AbortSignal,
  ) {
    this.#repository = repository;
    this.#deps = dependencies;
    this.#signal = signal;
  }

  async run(): Promise<ReferrerRebuild> {
    const folder = revisionsFolder(this.#repository);
    const links = await storedLinks(this.#deps.records, folder, this.#signal);
    const limit = pLimit(MANIFESTS_AT_ONCE);
    const bySubject: Expected = new Map();
    try {
      await Promise.all(links.map(({ digest }) => limit(() => this.#expect(digest, bySubject))));
    } catch (error) {
      limit.clearQueue();
      throw error;
    }
    let referrers = 0;
    let added = 0;
    for (const [subject, expected] of bySubject) {
      referrers += expected.size;
      added += await this.#add(subject, expected);
    }
    const removed = await this.#removeStale(bySubject);
    return { manifests: links.length, referrers, added, removed, unreadable: this.#unreadable };
  }

  async #expect(digest: Digest, bySubject: Expected): Promise<void> {
    const referrer = await this.#read(digest);
    if (!referrer) return;
    const { subject, descriptor } = referrer;
    const expected = bySubject.get(subject) ?? new Map<Digest, Digest>();
    bySubject.set(subject, expected.set(digest, contentOf(descriptor)));
  }

  /** Undefined for a manifest without a subject, and for one that cannot be read: that is noted. */
  async #read(digest: Digest): Promise<Referrer | undefined> {
    try {
      const found = await this.#deps.manifests.get(this.#repository, digest, this.#signal);
      if (!found) {
        // Deleted since it was listed, or its bytes are gone.
        if (await this.#isMember(digest)) this.#note(digest, 'its bytes are not in the store');
        return undefined;
      }
      const parsed = parseManifest(found.bytes, found.mediaType);
      const { subject } = parsed;
      if (!subject) return undefined;
      const descriptor = listedReferrer(parsed, digest, found.bytes.length);
      return { subject: subject.digest, descriptor };
    } catch (error) {
      this.#signal.throwIfAborted();
      // Another registry took what is no manifest here, docker's schema 1 for one: it names no subject.
      if (error instanceof RegistryError) return undefined;
      if (!(error instanceof StorageError)) throw error;
      this.#note(digest, error.message);
      return undefined;
    }
  }

  async #add(subject: Digest, expected: ReadonlyMap<Digest, Digest>): Promise<number> {
    const right = await this.#rightlyListed(subject, expected);
    let added = 0;
    for (const digest of expected.keys()) {
      if (right.has(digest)) continue;
      const referrer = await this.#read(digest);
      if (!referrer) continue;
      const { descriptor } = referrer;
      await this.#deps.referrers.add(this.#repository, subject, descriptor, this.#signal);
      added += 1;
      // It may have been deleted since it was read, and the delete has looked for its record already.
      if (!(await this.#isMember(digest))) await this.#remove(subject, digest);
    }
    return added;
  }

  /** A record that cannot be read hides those that are read with it or after it: they are written again. */
  async #rightlyListed(
    subject: Digest,
    expected: ReadonlyMap<Digest, Digest>,
  ): Promise<ReadonlySet<Digest>> {
    const right = new Set<Digest>();
    const { stored } = this.#deps;
    try {
      const batches = stored.list(this.#repository, subject, undefined, this.#signal);
      for await (const batch of batches) {
        for (const descriptor of batch) {
          const { digest } = descriptor;
          if (expected.get(digest) === contentOf(descriptor)) right.add(digest);
        }
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!(error instanceof StorageError)) throw error;
    }
    return right;
  }

  async #removeStale(bySubject: Expected): Promise<number> {
    const { records } = this.#deps;
    let removed = 0;
    for (const { name } of await records.list(
      referrersOfRepository(this.#repository),
      {},
      this.#signal,
    )) {
      const subject = digestOfName(name);
      if (!subject) continue;
      const folder = referrersFolder(this.#repository, subject);
      const expected = bySubject.get(subject);
      for (const child of await records.list(folder, {}, this.#signal)) {
        const digest = digestOfName(child.name);
        if (!digest || expected?.has(digest) === true || (await this.#isMember(digest))) continue;
        await this.#remove(subject, digest);
        removed += 1;
      }
    }
    return removed;
  }

  /** Removes the record, unless the manifest was pushed meanwhile: then it is written again. */
  async #remove(subject: Digest, digest: Digest): Promise<void> {
    const { referrers } = this.#deps;
    await referrers.remove(this.#repository, subject, digest, this.#signal);
    if (!(await this.#isMember(digest))) return;
    const again = await this.#read(digest);
    if (again) await referrers.add(this.#repository, subject, again.descriptor, this.#signal);
  }

  #isMember(digest: Digest): Promise<boolean> {
    return this.#deps.members.has(this.#repository, 'manifest', digest, this.#signal);
  }

  #note(digest: Digest, reason: string): void {
    this.#unreadable.push(`${this.#repository}@${digest}: ${reason}`);
  }
}

const digestOfName = (name: string): Digest | undefined => parseDigest(name.replace('-', ':'));

/** Tells descriptors apart, whatever the order of their fields; their annotations may be too large to be kept. */
function contentOf(descriptor: Descriptor): Digest {
  const fields = Object.entries(descriptor).sort(([a], [b]) => (a < b ? -1 : 1));
  return digestOf(Buffer.from(JSON.stringify(fields)));
}
