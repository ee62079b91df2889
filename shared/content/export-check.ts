import pLimit from 'p-limit';

import type { RegistryIndex } from '../index/ports.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { readAsDistribution } from '../oci/distribution-reading.ts';
import { RegistryError } from '../oci/errors.ts';
import { type ParsedManifest, parseManifest } from '../oci/manifest.ts';
import { parseTag, type RepositoryName } from '../oci/reference.ts';
import { StorageError } from '../storage/errors.ts';
import {
  layersFolder,
  repositoryFolder,
  revisionsFolder,
  tagCurrentKey,
  tagsFolder,
} from '../storage/object-keys.ts';
import type { RecordStore } from '../storage/record-store.ts';
import type { ManifestContent } from './content-source.ts';
import type { ManifestStore } from './manifest-store.ts';
import { storedLinks } from './stored-links.ts';

const READS_AT_ONCE = 16;

/** Something that the CNCF distribution registry would not do as this registry does. */
interface ExportProblem {
  /** A repository, `name@digest` or `name:tag`. */
  readonly where: string;
  readonly what: string;
}

/** What one repository would be at distribution. */
export interface ExportFindings {
  readonly problems: readonly ExportProblem[];
  readonly manifests: number;
  readonly tags: number;
  /** Manifests that no tag names; `garbage-collect --delete-untagged` removes those that no index lists. */
  readonly untagged: number;
  /** Manifests with a subject: distribution has no list of them. */
  readonly referrers: number;
  /** Tags whose name begins with the name of another: on S3 distribution serves them and leaves them out of its lists. */
  readonly unlisted: number;
  /** Where it was copied from; distribution serves it like any other. */
  readonly cachedFrom: string | undefined;
  /** It has blobs and no manifest: distribution does not list it, and its garbage collector takes the blobs. */
  readonly isWithoutManifests: boolean;
}

export interface ExportCheckDependencies {
  readonly records: RecordStore;
  /** Over the store alone. */
  readonly manifests: ManifestStore;
  readonly origins: RegistryIndex['origins'];
  /** In a folder, distribution's garbage collector fails where it misses one; in a bucket there are none. */
  readonly isFolderStore: boolean;
}

/** What distribution, version 3, makes of a repository of this store; each rule was tried with it. Writes nothing. */
export async function checkExport(
  repository: RepositoryName,
  dependencies: ExportCheckDependencies,
  signal: AbortSignal,
): Promise<ExportFindings> {
  return await new ExportCheck(repository, dependencies, signal).run();
}

interface CheckedManifest {
  readonly isReferrer: boolean;
}

class ExportCheck {
  readonly #repository: RepositoryName;
  readonly #deps: ExportCheckDependencies;
  readonly #signal: AbortSignal;
  readonly #limit = pLimit(READS_AT_ONCE);
  readonly #problems: ExportProblem[] = [];

  constructor(
    repository: RepositoryName,
    dependencies: ExportCheckDependencies,
    signal: AbortSignal,
  ) {
    this.#repository = repository;
    this.#deps = dependencies;
    this.#signal = signal;
  }

  async run(): Promise<ExportFindings> {
    const { records, origins, isFolderStore } = this.#deps;
    const folders = await records.list(repositoryFolder(this.#repository), {}, this.#signal);
    const has = (name: string): boolean => folders.some((child) => child.name === name);
    if (isFolderStore && has('_manifests') && !has('_layers')) {
      this.#report('', `it has no folder _layers; ${COLLECTOR_STOPS}`);
    }
    await this.#checkLinks(layersFolder(this.#repository), 'blob');
    const revisions = await this.#checkLinks(revisionsFolder(this.#repository), 'manifest');
    const tags = await this.#tags(new Set(revisions));
    const checked = await this.#all(revisions, (digest) =>
      this.#manifest(digest, tags.get(digest) ?? []),
    );
    const origin = await origins.get(this.#repository, this.#signal);
    return {
      problems: this.#problems,
      manifests: revisions.length,
      tags: [...tags.values()].flat().length,
      untagged: revisions.filter((digest) => !tags.has(digest)).length,
      unlisted: isFolderStore ? 0 : unlistedOf([...tags.values()].flat()),
      referrers: checked.filter(({ isReferrer }) => isReferrer).length,
      cachedFrom: origin && `${origin.upstreamUrl}/${origin.upstreamRepository}`,
      isWithoutManifests: !has('_manifests'),
    };
  }

  /** Every `link` below the folder is read by distribution's garbage collector. */
  async #checkLinks(folder: string, kind: string): Promise<Digest[]> {
    const links = await storedLinks(this.#deps.records, folder, this.#signal);
    for (const { digest, text } of links) {
      if (text === digest) continue;
      const isDigest = parseDigest(text) !== undefined;
      const what = isDigest ? `names ${text}` : `is damaged; ${COLLECTOR_STOPS}`;
      this.#report(`@${digest}`, `the link of the ${kind} ${what}`);
    }
    return links.map(({ digest }) => digest);
  }

  /** Tags by the manifest that they name; distribution lists every folder as a tag. */
  async #tags(revisions: ReadonlySet<Digest>): Promise<Map<Digest, string[]>> {
    const { records } = this.#deps;
    const byDigest = new Map<Digest, string[]>();
    const folders = await records.list(tagsFolder(this.#repository), {}, this.#signal);
    await this.#all(folders, async ({ name }) => {
      const tag = parseTag(name);
      const link = tag && (await records.get(tagCurrentKey(this.#repository, tag), this.#signal));
      const digest = link && parseDigest(link.toString('latin1'));
      if (!link) this.#report(`:${name}`, 'it is listed as a tag and names nothing');
      else if (!digest)
        this.#report(`:${name}`, 'its link is damaged: a pull is answered with 500');
      else if (!revisions.has(digest)) {
        this.#report(`:${name}`, `it names ${digest}, which is not in the repository`);
      } else byDigest.set(digest, [...(byDigest.get(digest) ?? []), name]);
    });
    return byDigest;
  }

  async #manifest(digest: Digest, tags: readonly string[]): Promise<CheckedManifest> {
    const where = `@${digest}${tags.length === 0 ? '' : ` (${tags.toSorted().join(', ')})`}`;
    const manifest = await this.#read(digest, where);
    if (!manifest) return { isReferrer: false };
    const parsed = parsedOrUndefined(manifest);
    const reading = readAsDistribution(manifest.bytes);
    if (reading.kind === 'refused') {
      this.#report(where, `${reading.reason}; a pull is answered with 500, and ${COLLECTOR_STOPS}`);
    } else {
      if (reading.mediaType !== manifest.mediaType) {
        const types = `${reading.mediaType}, not as ${manifest.mediaType}`;
        this.#report(where, `it is served as ${types}: its bytes do not tell their media type`);
      }
      const lost = referencesOf(parsed).filter((named) => !reading.references.includes(named));
      if (lost.length > 0) {
        this.#report(where, `the garbage collector does not keep ${lost.join(', ')} for it`);
      }
    }
    return { isReferrer: parsed?.subject !== undefined };
  }

  async #read(digest: Digest, where: string): Promise<ManifestContent | undefined> {
    try {
      const manifest = await this.#deps.manifests.get(this.#repository, digest, this.#signal);
      if (!manifest) this.#report(where, 'its bytes are not in the store');
      return manifest;
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!(error instanceof StorageError)) throw error;
      this.#report(where, error.message);
      return undefined;
    }
  }

  async #all<Item, Result>(
    items: readonly Item[],
    check: (item: Item) => Promise<Result>,
  ): Promise<Result[]> {
    try {
      return await Promise.all(items.map((item) => this.#limit(check, item)));
    } catch (error) {
      this.#limit.clearQueue();
      throw error;
    }
  }

  #report(what: string, problem: string): void {
    this.#problems.push({ where: `${this.#repository}${what}`, what: problem });
  }
}

const COLLECTOR_STOPS = 'the garbage collector stops there, for the whole store';

/**
 * Its walk of a bucket passes over all keys that begin like the folder of the tag before, without the slash (v3.1,
 * registry/storage/driver/s3-aws/s3.go, doWalk).
 */
function unlistedOf(tags: readonly string[]): number {
  const sorted = tags.toSorted((a, b) => (`${a}/` < `${b}/` ? -1 : 1));
  let last: string | undefined;
  let unlisted = 0;
  for (const tag of sorted) {
    if (last !== undefined && tag.startsWith(last)) unlisted += 1;
    else last = tag;
  }
  return unlisted;
}

/** Undefined for what only another registry accepted, docker's schema 1 for one. */
function parsedOrUndefined({ bytes, mediaType }: ManifestContent): ParsedManifest | undefined {
  try {
    return parseManifest(bytes, mediaType);
  } catch (error) {
    if (error instanceof RegistryError) return undefined;
    throw error;
  }
}

function referencesOf(parsed: ParsedManifest | undefined): Digest[] {
  if (!parsed) return [];
  const { config, layers, manifests } = parsed;
  const all = [...(config ? [config] : []), ...layers, ...manifests];
  return [...new Set(all.map(({ digest }) => digest))];
}
