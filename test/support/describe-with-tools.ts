import { describe } from '@jest/globals';

import { COULD_NOT_RUN } from './could-not-run.ts';
import { whyUnusable } from './find-tool.ts';
import type { ToolName } from './tools.ts';

/** A group of tests that need programs. Where one is missing they are skipped and reported by name with the reason. */
export function describeWithTools(
  tools: readonly ToolName[],
  title: string,
  define: () => void,
): void {
  const reasons = tools.flatMap((name) => {
    const reason = whyUnusable(name);
    return reason === undefined ? [] : [`${name}: ${reason}`];
  });
  if (reasons.length === 0) describe(title, define);
  else describe.skip(`${title} [${COULD_NOT_RUN}${reasons.join('; ')}]`, define);
}
