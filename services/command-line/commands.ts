import type { Command } from './command.ts';
import { exportCheck } from './export-check.ts';
import { indexRebuild } from './index-rebuild.ts';

/** What `twinport` can do beside serving, in the order of its help. */
export const COMMANDS: readonly Command[] = [indexRebuild, exportCheck];
