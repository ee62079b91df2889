import { adoptCache } from './adopt-cache.ts';
import { block, blocks, unblock } from './blocks.ts';
import type { Command } from './command.ts';
import { evict } from './evict.ts';
import { explain } from './explain.ts';
import { exportCheck } from './export-check.ts';
import { indexRebuild } from './index-rebuild.ts';
import { pin, pins, unpin } from './pins.ts';
import { tokenRotateKey } from './token-rotate-key.ts';
import { PROJECT_COMMANDS } from './project-commands.ts';
import { ROBOT_COMMANDS } from './robot-commands.ts';
import { USER_COMMANDS } from './user-commands.ts';
import { warm } from './warm.ts';

/** What `twinport` can do beside serving, in the order of its help. */
export const COMMANDS: readonly Command[] = [
  indexRebuild,
  exportCheck,
  adoptCache,
  evict,
  pin,
  unpin,
  pins,
  block,
  unblock,
  blocks,
  warm,
  explain,
  tokenRotateKey,
  ...PROJECT_COMMANDS,
  ...USER_COMMANDS,
  ...ROBOT_COMMANDS,
];
