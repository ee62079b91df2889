import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { FolderSyncs, syncFolder } from './folder-syncs.ts';
import { PromptCalls } from './prompt-calls.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinport-syncs-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('making the names in a folder durable', () => {
  test('whoever asks while one synchronisation runs shares the next one, never that one', async () => {
    const syncs = new FolderSyncs(new PromptCalls());
    const ended: string[] = [];
    const first = syncs.sync(folder).then(() => ended.push('first'));
    const second = syncs.sync(folder);
    expect(syncs.sync(folder)).toBe(second);
    await second.then(() => ended.push('second'));
    await first;
    expect(ended).toEqual(['first', 'second']);
    const third = syncs.sync(folder);
    expect(third).not.toBe(second);
    await third;
  });

  test('a folder that somebody removed meanwhile needs none', async () => {
    expect(await syncFolder(join(folder, 'gone'))).toBe(true);
    await new FolderSyncs(new PromptCalls()).sync(join(folder, 'gone'));
  });
});
