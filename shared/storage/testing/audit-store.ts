import { createHash } from 'node:crypto';

import { type Digest, digestAlgorithm, finishDigest, parseDigest } from '../../oci/digest.ts';
import { isForeignLayerType } from '../../oci/media-types.ts';
import { parseRepositoryName, parseTag, type RepositoryName } from '../../oci/reference.ts';
import type { BlobStore } from '../blob-store.ts';
import {
  blobKey,
  blobsFolder,
  layerLinkKey,
  layersFolder,
  originKey,
  repositoriesFolder,
  revisionLinkKey,
  revisionsFolder,
  tagCurrentKey,
  tagFolder,
  tagsFolder,
  uploadsFolder,
} from '../object-keys.ts';
import type { RecordStore } from '../record-store.ts';
import { unending } from './contract-support.ts';

export interface AuditOptions {
  /** Only these; otherwise all that the store holds. */
  readonly repositories?: readonly RepositoryName[];
  /** MANIFEST_REFERENCES=allow-missing: manifests may name what is not there. */
  readonly allowsMissingReferences?: boolean;
  /** The reaper has passed: upload sessions that began before this, or nobody knows when, are violations. */
  readonly uploadsBefore?: Date;
}

/**
 * Reads a store alone, without index or service, and says what breaks the invariants: a tag that names no stored
 * manifest, a descriptor that is not there (I2), bytes that are not what their key says (I3), a link that is none, and
 * sessions that should be gone (I7). One sentence for each violation; none when all holds.
 */
export async function auditStore(
  records: RecordStore,
  blobs: BlobStore,
  options: AuditOptions = {},
): Promise<string[]> {
  const audit = new Audit(records, blobs, options);
  await audit.everyBlob();
  for (const repository of options.repositories ?? (await audit.repositories())) {
    await audit.repository(repository);
  }
  return audit.violations;
}

interface NamedDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: unknown;
}

class Audit {
  readonly violations: string[] = [];
  readonly #records: RecordStore;
  readonly #blobs: BlobStore;
  readonly #options: AuditOptions;

  constructor(records: RecordStore, blobs: BlobStore, options: AuditOptions) {
    this.#records = records;
    this.#blobs = blobs;
    this.#options = options;
  }

  async everyBlob(): Promise<void> {
    for (const algorithm of await this.#folders(blobsFolder)) {
      for (const prefix of await this.#folders(`${blobsFolder}/${algorithm}`)) {
        for (const hex of await this.#folders(`${blobsFolder}/${algorithm}/${prefix}`)) {
          const path = `${blobsFolder}/${algorithm}/${prefix}/${hex}/data`;
          const digest = parseDigest(`${algorithm}:${hex}`);
          if (!digest || blobKey(digest) !== path) this.#report(`${path} is no key of a blob`);
          else await this.#bytesOf(digest);
        }
      }
    }
  }

  async repositories(): Promise<RepositoryName[]> {
    const found: RepositoryName[] = [];
    const visit = async (path: string): Promise<void> => {
      const children = await this.#folders(path);
      const name = parseRepositoryName(path.slice(repositoriesFolder.length + 1));
      if (name && children.some((child) => child.startsWith('_'))) found.push(name);
      for (const child of children) if (!child.startsWith('_')) await visit(`${path}/${child}`);
    };
    await visit(repositoriesFolder);
    return found;
  }

  async repository(name: RepositoryName): Promise<void> {
    const isCached = (await this.#records.get(originKey(name), unending)) !== undefined;
    const layers = await this.#links(layersFolder(name), (digest) => layerLinkKey(name, digest));
    for (const digest of isCached ? [] : layers) {
      if (!(await this.#isStored(digest))) {
        this.#report(`${name} has the blob ${digest} as a member, but its bytes are not stored`);
      }
    }
    const revisions = await this.#links(revisionsFolder(name), (digest) =>
      revisionLinkKey(name, digest),
    );
    for (const digest of revisions) {
      if (!(await this.#isStored(digest))) {
        this.#report(`${name} has the manifest ${digest}, but its bytes are not stored`);
      } else if (!isCached && this.#options.allowsMissingReferences !== true) {
        await this.#references(name, digest);
      }
    }
    for (const tag of await this.#folders(tagsFolder(name))) await this.#tag(name, tag);
    await this.#uploads(name);
  }

  async #tag(name: RepositoryName, text: string): Promise<void> {
    const tag = parseTag(text);
    if (!tag) {
      this.#report(`${name} has a tag folder ${JSON.stringify(text)}, which is no tag`);
      return;
    }
    const folder = tagFolder(name, tag);
    await this.#links(`${folder}/index`, (digest) => {
      const [algorithm, hex] = digest.split(':');
      return `${folder}/index/${algorithm ?? ''}/${hex ?? ''}/link`;
    });
    // A folder without a current link is the rest of a deleted tag: it is no tag.
    const link = await this.#records.get(tagCurrentKey(name, tag), unending);
    if (!link) return;
    const digest = parseDigest(link.toString('utf8'));
    if (!digest) {
      this.#report(`${name}:${tag} holds ${JSON.stringify(link.toString('utf8'))}, no digest`);
    } else if (!(await this.#records.get(revisionLinkKey(name, digest), unending))) {
      this.#report(`${name}:${tag} names the manifest ${digest}, which ${name} does not have`);
    } else if (!(await this.#isStored(digest))) {
      this.#report(`${name}:${tag} names the manifest ${digest}, whose bytes are not stored`);
    }
  }

  async #references(name: RepositoryName, digest: Digest): Promise<void> {
    const descriptors = descriptorsOf(await this.#contentOf(digest));
    if (!descriptors) {
      this.#report(`${name} has the manifest ${digest}, which is no JSON object with digests`);
      return;
    }
    for (const named of descriptors) {
      if (isForeignLayerType(named.mediaType)) continue;
      const keys = [layerLinkKey(name, named.digest), revisionLinkKey(name, named.digest)];
      const links = await Promise.all(keys.map((key) => this.#records.get(key, unending)));
      const what = `the manifest ${digest} of ${name} names ${named.digest}`;
      const stored = await this.#blobs.stat(named.digest, unending);
      if (links.every((link) => link === undefined)) {
        this.#report(`${what}, which is no member of ${name}`);
      } else if (!stored) {
        this.#report(`${what}, whose bytes are not stored`);
      } else if (stored.size !== named.size) {
        this.#report(`${what} with ${String(named.size)} bytes, but it has ${stored.size}`);
      }
    }
  }

  async #uploads(name: RepositoryName): Promise<void> {
    const before = this.#options.uploadsBefore;
    if (!before) return;
    for (const id of await this.#folders(uploadsFolder(name))) {
      const key = `${uploadsFolder(name)}/${id}/startedat`;
      const startedAt = (await this.#records.get(key, unending))?.toString('utf8');
      if (startedAt === undefined || !(new Date(startedAt) >= before)) {
        this.#report(`${name} still has the upload session ${id}, begun ${startedAt ?? 'unknown'}`);
      }
    }
  }

  /** The digests that the links `<folder>/<alg>/<hex>/link` stand for; each link must hold its own. */
  async #links(folder: string, keyOf: (digest: Digest) => string): Promise<Digest[]> {
    const digests: Digest[] = [];
    for (const algorithm of await this.#folders(folder)) {
      for (const hex of await this.#folders(`${folder}/${algorithm}`)) {
        const key = `${folder}/${algorithm}/${hex}/link`;
        const link = (await this.#records.get(key, unending))?.toString('utf8');
        const digest = parseDigest(link ?? '');
        // A folder without a link is the rest of a removed member.
        if (link === undefined) continue;
        if (!digest) this.#report(`${key} holds ${JSON.stringify(link)}, which is no digest`);
        else if (keyOf(digest) !== key) this.#report(`${key} holds another digest, ${digest}`);
        else digests.push(digest);
      }
    }
    return digests;
  }

  /** Reads a blob whole and holds it against its key. */
  async #bytesOf(digest: Digest): Promise<void> {
    const body = await this.#blobs.open(digest, undefined, unending);
    if (!body) return;
    const algorithm = digestAlgorithm(digest);
    const hash = createHash(algorithm);
    for await (const chunk of body.stream) hash.update(chunk as Buffer);
    const actual = finishDigest(algorithm, hash);
    if (actual !== digest) this.#report(`the blob ${digest} holds bytes of the digest ${actual}`);
  }

  async #contentOf(digest: Digest): Promise<string> {
    return (await this.#records.get(blobKey(digest), unending))?.toString('utf8') ?? '';
  }

  async #isStored(digest: Digest): Promise<boolean> {
    return (await this.#blobs.stat(digest, unending)) !== undefined;
  }

  async #folders(folder: string): Promise<string[]> {
    const children = await this.#records.list(folder, {}, unending);
    return children.filter((child) => child.isFolder).map((child) => child.name);
  }

  #report(sentence: string): void {
    this.violations.push(`${sentence}.`);
  }
}

/** Everything that a manifest or an index needs to be there; its `subject` need not. Undefined when it is neither. */
function descriptorsOf(json: string): NamedDescriptor[] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!isObject(parsed)) return undefined;
  const lists = ['layers', 'manifests', 'blobs'].flatMap((field) => {
    const list = parsed[field];
    return Array.isArray(list) ? (list as unknown[]) : [];
  });
  const found: NamedDescriptor[] = [];
  for (const candidate of 'config' in parsed ? [parsed['config'], ...lists] : lists) {
    const descriptor = isObject(candidate) ? candidate : {};
    const { mediaType, digest, size } = descriptor;
    const parsedDigest = parseDigest(typeof digest === 'string' ? digest : '');
    if (!parsedDigest) return undefined;
    const type = typeof mediaType === 'string' ? mediaType : '';
    found.push({ mediaType: type, digest: parsedDigest, size });
  }
  return found;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
