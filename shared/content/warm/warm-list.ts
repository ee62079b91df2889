import { parsePullReference, type PullReference } from '../../oci/pull-reference.ts';

/** An image to be warmed, as it stands in the list. */
export interface WarmEntry {
  readonly text: string;
  readonly image: PullReference;
}

export interface WarmList {
  readonly entries: readonly WarmEntry[];
  /** A sentence for each line that is no reference. */
  readonly problems: readonly string[];
}

/** One reference a line; blank lines and what stands behind `#` are passed over, and what stands there twice is one. */
export function parseWarmList(text: string): WarmList {
  const entries = new Map<string, WarmEntry>();
  const problems: string[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    const entry = line.replace(/(?:^|\s)#.*$/, '').trim();
    if (entry === '') return;
    const image = parsePullReference(entry);
    if (image) entries.set(entry, { text: entry, image });
    else problems.push(`line ${index + 1}: "${entry.slice(0, 200)}" is no image reference`);
  });
  return { entries: [...entries.values()], problems };
}
