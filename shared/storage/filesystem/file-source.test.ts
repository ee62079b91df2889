import {
  mkdtemp,
  open,
  readFile,
  rm,
  truncate,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { StorageError } from '../errors.ts';
import { patternBytes, readAll } from '../testing/contract-support.ts';
import { FileSink } from './file-sink.ts';
import { FileSource } from './file-source.ts';

const bytes = patternBytes(700_000, 3);

describe('FileSource', () => {
  let folder: string;
  let path: string;
  let handle: FileHandle;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twinport-source-'));
    path = join(folder, 'file');
    await writeFile(path, bytes);
    handle = await open(path, 'r');
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  test('gives exactly the bytes asked for, and closes the file after them', async () => {
    const source = new FileSource(handle, 100, 600_000);
    expect((await readAll(source)).equals(bytes.subarray(100, 600_100))).toBe(true);
    expect(handle.fd).toBe(-1);
  });

  test('fails instead of ending short when the file was cut meanwhile', async () => {
    const source = new FileSource(handle, 0, bytes.length);
    await truncate(path, 300_000);
    await expect(readAll(source)).rejects.toThrow(StorageError);
    expect(handle.fd).toBe(-1);
  });

  test('closes the file when it is destroyed in the middle of a read', async () => {
    const source = new FileSource(handle, 0, bytes.length);
    source.read();
    source.destroy();
    await new Promise((resolve) => source.once('close', resolve));
    expect(handle.fd).toBe(-1);
  });

  test('leaves the file open when it is told so', async () => {
    const source = new FileSource(handle, 0, bytes.length, { closesHandle: false });
    expect((await readAll(source)).equals(bytes)).toBe(true);
    expect(handle.fd).not.toBe(-1);
    await handle.close();
  });
});

describe('FileSink', () => {
  test('reports a disk that is full as a StorageError and knows when it is idle', async () => {
    const full = await open('/dev/full', 'w').catch(() => undefined);
    // Only Linux has this device.
    if (!full) return;
    const sink = new FileSink(full);
    const failed = new Promise((resolve) => sink.once('error', resolve));
    sink.end(bytes);
    expect(await failed).toBeInstanceOf(StorageError);
    await sink.settle();
    await full.close();
  });

  test('writes what it had gathered when the body breaks off', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'twinport-sink-'));
    const path = join(folder, 'broken-off');
    const handle = await open(path, 'w');
    const sink = new FileSink(handle);
    sink.write(bytes.subarray(0, 1000));
    sink.on('error', () => undefined).destroy(new Error('the client left'));
    await sink.settle();
    await handle.close();
    expect(sink.bytes).toBe(1000);
    expect((await readFile(path)).equals(bytes.subarray(0, 1000))).toBe(true);
    await rm(folder, { recursive: true });
  });
});
