import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { FilesystemRecordStore } from './filesystem-record-store.ts';
import { PromptReads } from './prompt-reads.ts';

const unending = new AbortController().signal;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twinport-prompt-'));
  await writeFile(join(folder, 'small'), 'sha256:00');
  await writeFile(join(folder, 'large'), Buffer.alloc(4096, 'x'));
  await mkdir(join(folder, 'folder'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('reading small files in place', () => {
  test('nothing is read in place before the file system is known', () => {
    expect(new PromptReads(4096).read(join(folder, 'small'))).toBe('not now');
  });

  test('a file system that is not of this machine is never read in place', async () => {
    const reads = new PromptReads(4096);
    await reads.prepare('/proc');
    expect(reads.read(join(folder, 'small'))).toBe('not now');
  });

  test('many reads in a row leave room for everybody else: the rest of a turn of the event loop is not theirs', async () => {
    const reads = new PromptReads(4096);
    await reads.prepare(folder);
    const isRead = (): boolean => reads.read(join(folder, 'small')) !== 'not now';
    const startedMs = performance.now();
    while (isRead()) expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(isRead()).toBe(false);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isRead()).toBe(true);
  });

  test('a prepared store tells the same as one that is not, whatever stands under the key', async () => {
    const other = new FilesystemRecordStore(folder);
    const prepared = new FilesystemRecordStore(folder);
    await prepared.prepare(unending);
    for (const key of ['small', 'large', 'folder', 'absent', 'small/below', 'absent/below']) {
      expect(await prepared.get(key, unending)).toEqual(await other.get(key, unending));
    }
    expect((await prepared.get('small', unending))?.toString()).toBe('sha256:00');
    expect((await prepared.get('large', unending))?.length).toBe(4096);
  });
});
