import { describe } from '@jest/globals';

import { findTool, whyMissing } from './find-tool.ts';
import type { ToolName } from './tools.ts';

/** Marks, in a group's title, why its tests could not run; the closing report reads it. */
export const COULD_NOT_RUN = 'could not run: ';

/** A group of tests that need programs. Where one is missing they are skipped and reported by name with the reason. */
export function describeWithTools(tools: readonly ToolName[], title: string, define: () => void): void {
  const missing = tools.filter((name) => findTool(name) === undefined);
  if (missing.length === 0) {
    describe(title, define);
    return;
  }
  const reasons = missing.map((name) => `${name}: ${whyMissing(name)}`).join('; ');
  describe.skip(`${title} [${COULD_NOT_RUN}${reasons}]`, define);
}
