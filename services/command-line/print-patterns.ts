import type { PatternRecord } from '../../shared/content/pattern-records.ts';

/** One line for each, the oldest first. */
export function printPatterns(
  all: readonly PatternRecord[],
  whenNone: string,
  print: (line: string) => void,
): void {
  if (all.length === 0) print(whenNone);
  for (const { createdAt, pattern, reason } of all) {
    print(`${createdAt}  ${pattern.text}${reason === undefined ? '' : `  ${reason}`}`);
  }
}
