import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';

import { runFolder } from './run-folder.ts';

/** A new empty folder, removed with the test run at the latest. */
export function makeTempFolder(name = 'folder'): string {
  return mkdtempSync(path.join(runFolder(), 'folders', `${name}-`));
}

export async function removeTempFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}
