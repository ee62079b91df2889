/** Insertions, deletions and replacements that turn one word into the other (Levenshtein). */
export function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** A name without its unit is nearly right. */
const UNIT = /_?(?:SECONDS|BYTES)$/i;

/** The known name that is written most like this one. */
export function nearestOf(name: string, known: readonly string[]): string {
  const distance = (candidate: string): number =>
    Math.min(
      editDistance(name.toLowerCase(), candidate.toLowerCase()),
      editDistance(name.toLowerCase(), candidate.replace(UNIT, '').toLowerCase()) + 1,
    );
  return [...known].sort((a, b) => distance(a) - distance(b))[0] ?? '';
}
