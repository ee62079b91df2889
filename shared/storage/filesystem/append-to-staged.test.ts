import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

import { appendToStaged } from './append-to-staged.ts';

const signal = new AbortController().signal;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'append-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('an empty chunk puts on disk what a chunk before it left that broke off', async () => {
  const path = join(folder, 'data');
  const handle = await open(path, 'ax+');
  const datasync = jest.spyOn(handle, 'datasync');
  try {
    const broken = Readable.from([Buffer.from('bytes'), Promise.reject(new Error('gone'))]);
    const empty = { path, handle, size: 0, inode: 1 };
    expect((await appendToStaged(empty, broken, undefined, signal)).fault?.message).toBe('gone');
    expect(datasync).not.toHaveBeenCalled();
    const claim = { ...empty, size: 5 };
    const appended = await appendToStaged(claim, Readable.from([]), undefined, signal);
    expect(appended).toEqual({ size: 5, hashedBytes: 0, fault: undefined });
    expect(datasync).toHaveBeenCalledTimes(1);
  } finally {
    await handle.close();
  }
});
