import { describe } from '@jest/globals';

import { COULD_NOT_RUN } from './could-not-run.ts';
import { findTool, whyMissing } from './find-tool.ts';
import type { ToolName } from './tools.ts';

/** A group of tests that need programs. Where one is missing they are skipped and reported by name with the reason. */
export function describeWithTools(
  tools: readonly ToolName[],
  title: string,
  define: () => void,
): void {
  const missing = tools.filter((name) => findTool(name) === undefined);
  if (missing.length === 0) {
    describe(title, define);
    return;
  }
  const reasons = missing.map((name) => `${name}: ${whyMissing(name)}`).join('; ');
  describe.skip(`${title} [${COULD_NOT_RUN}${reasons}]`, define);
}
