import pLimit from 'p-limit';

import { type Digest, parseDigest } from '../oci/digest.ts';
import type { RecordStore } from '../storage/record-store.ts';

const READS_AT_ONCE = 16;

/** A link of the store, by the digest that its key tells. */
export interface StoredLink {
  readonly digest: Digest;
  /** What the link itself holds: the same digest, unless it is damaged. */
  readonly text: string;
}

/**
 * The links `<folder>/<alg>/<hex>/link`, sorted by digest, read straight from the store. Folders without a link are what
 * is left of removed members.
 */
export async function storedLinks(
  records: RecordStore,
  folder: string,
  signal: AbortSignal,
): Promise<StoredLink[]> {
  const limit = pLimit(READS_AT_ONCE);
  const links: StoredLink[] = [];
  for (const algorithm of await records.list(folder, {}, signal)) {
    const children = await records.list(`${folder}/${algorithm.name}`, {}, signal);
    const found = children.map(({ name }) =>
      limit(async (): Promise<StoredLink | undefined> => {
        const digest = parseDigest(`${algorithm.name}:${name}`);
        if (!digest) return undefined;
        const key = `${folder}/${algorithm.name}/${name}/link`;
        const text = (await records.get(key, signal))?.toString('latin1');
        return text === undefined ? undefined : { digest, text };
      }),
    );
    try {
      links.push(...(await Promise.all(found)).filter((link) => link !== undefined));
    } catch (error) {
      limit.clearQueue();
      throw error;
    }
  }
  return links;
}
