import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, rm, statfs, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { type Clock, systemClock } from '../../../shared/lifecycle/clock.ts';
import { OwnByteBudget } from '../../../shared/concurrency/byte-budget.ts';
import { Spool } from './spool.ts';

let base: string;

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'twinport-test-'));
});

afterEach(async () => {
  await rm(base, { recursive: true, force: true });
});

async function openSpool(maxBytes = 1000, clock: Clock = systemClock): Promise<Spool> {
  const spool = new Spool(base, new OwnByteBudget(maxBytes), clock);
  await spool.open();
  return spool;
}

describe('Spool', () => {
  test('has room up to its limit, and again when files are closed', async () => {
    const spool = await openSpool(100);
    const first = await spool.create(60);
    expect(await spool.create(41)).toBeUndefined();
    const second = await spool.create(40);
    expect(spool.reservedBytes).toBe(100);
    await first?.close();
    await first?.close();
    expect(spool.reservedBytes).toBe(40);
    await second?.close();
    await spool.close();
  });

  test('reserves no more than the disk has free', async () => {
    const { bavail, bsize } = await statfs(base);
    const free = bavail * bsize;
    const spool = await openSpool(Number.MAX_SAFE_INTEGER);
    expect(await spool.create(2 * free)).toBeUndefined();
    const most = await spool.create(Math.floor(0.6 * free));
    expect(await spool.create(Math.floor(0.6 * free))).toBeUndefined();
    expect(await spool.create(1000)).toBeDefined();
    await most?.close();
    expect(await spool.create(Math.floor(0.6 * free))).toBeDefined();
    await spool.close();
  });

  test('takes nothing new for a while after the disk refused a write', async () => {
    let nowMs = 1000;
    const spool = await openSpool(1000, { ...systemClock, monotonicMs: () => nowMs });
    const file = await spool.create(10);
    const other = await open(join(base, 'other'), 'w');
    const prototype = Object.getPrototypeOf(other) as typeof other;
    await other.close();
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    const write = jest.spyOn(prototype, 'writev').mockRejectedValueOnce(full);
    try {
      await expect(file?.append([Buffer.from('hello')])).rejects.toBe(full);
    } finally {
      write.mockRestore();
    }
    await file?.close();
    expect(await spool.create(10)).toBeUndefined();
    nowMs += 29_000;
    expect(await spool.create(10)).toBeUndefined();
    nowMs += 1000;
    expect(await spool.create(10)).toBeDefined();
    await spool.close();
  });

  test('has windows in memory although nothing can be opened on the disk', async () => {
    const spool = await openSpool(1e9);
    await rm(base, { recursive: true });
    const faults: unknown[] = [];
    const window = await spool.createWindow(1e9, (error) => void faults.push(error));
    expect(window?.windowBytes).toBe(4 * 1024 * 1024);
    expect(faults).toEqual([expect.objectContaining({ code: 'ENOENT' })]);
    await window?.close();
    // The disk is left alone for a while.
    expect(await spool.create(10)).toBeUndefined();
    await spool.close();
  });

  test('gives back what was written to it', async () => {
    const spool = await openSpool();
    const file = (await spool.create(10))!;
    await file.append([Buffer.from('hello')]);
    await file.append([Buffer.from('world')]);
    const buffer = Buffer.alloc(4);
    expect([await file.read(buffer, 3, 4), buffer.toString()]).toEqual([4, 'lowo']);
    await file.close();
    await spool.close();
  });

  test('leaves nothing behind', async () => {
    const spool = await openSpool();
    await spool.create(10);
    await spool.close();
    expect(await readdir(base)).toEqual([]);
    expect(await spool.create(10)).toBeUndefined();
  });

  test('removes what a killed process left, and nothing of living ones or of others', async () => {
    const script = `
      import { Spool } from ${JSON.stringify(join(import.meta.dirname, 'spool.ts'))};
      const clock = { monotonicMs: () => 0 };
      const spool = new Spool(${JSON.stringify(base)}, { reserve: async () => true, release() {} }, clock);
      await spool.open();
      await spool.create(10);
      console.log('open');
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const [dead] = await readdir(base);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const living = await openSpool();
    await mkdir(join(base, 'precious'));
    await mkdir(join(base, 'twinport-spool-beginning'));
    const stale = join(base, 'twinport-spool-stale');
    await mkdir(stale);
    const hourAgo = new Date(Date.now() - 3_600_000);
    await utimes(stale, hourAgo, hourAgo);

    const another = await openSpool();
    const names = await readdir(base);
    expect(names).not.toContain(dead);
    expect(names).not.toContain('twinport-spool-stale');
    expect(names).toEqual(expect.arrayContaining(['precious', 'twinport-spool-beginning']));
    expect(names).toHaveLength(4);
    expect(await living.create(10)).toBeDefined();
    await another.close();
    await living.close();
  });
});
