import type { ProjectRecord } from '../index/ports.ts';
import type { IsImmutable } from './manifest-store.ts';

/** Which tags the rules of a project keep as they are, once they exist. */
export function immutableTagsOf(project: ProjectRecord | undefined): IsImmutable {
  const rules = (project?.immutableTags ?? []).map((glob) => glob.split('*'));
  return (tag) => rules.some((parts) => matches(parts, tag));
}

/** `*` stands for any characters. Looks at each character once: people write these rules. */
function matches([first = '', ...rest]: readonly string[], text: string): boolean {
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
