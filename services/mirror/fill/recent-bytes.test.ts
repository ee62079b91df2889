import { describe, expect, test } from '@jest/globals';

import { RecentBytes } from './recent-bytes.ts';
import { SharedBlock } from './shared-block.ts';

const KIB = 1024;

describe('RecentBytes', () => {
  test('gives what lies together in one block as one piece', () => {
    const recent = new RecentBytes();
    const block = new SharedBlock();
    block.bytes.write('abcdefgh');
    recent.push(block.bytes.subarray(0, 3), block);
    recent.push(block.bytes.subarray(3, 5), block);
    recent.push(Buffer.from('xyz'));
    expect(recent.at(1, 100)?.bytes.toString()).toBe('bcde');
    expect(recent.at(1, 3)?.bytes.toString()).toBe('bc');
    expect(recent.at(5, 100)?.bytes.toString()).toBe('xyz');
    expect(recent.at(8, 100)).toBeUndefined();
    expect(recent.at(3, 3)).toBeUndefined();
    expect(Buffer.concat(recent.from(4)).toString()).toBe('exyz');
    expect(recent.end).toBe(8);
  });

  test('keeps what is not written, and the last bytes for those close behind', () => {
    const recent = new RecentBytes();
    for (let n = 0; n < 8; n += 1) recent.push(Buffer.alloc(128 * KIB, n));
    recent.forget(128 * KIB);
    expect(recent.at(0, Infinity)).toBeUndefined();
    expect(recent.at(128 * KIB, Infinity)?.bytes[0]).toBe(1);
    recent.forget(8 * 128 * KIB);
    expect(recent.at(5 * 128 * KIB, Infinity)).toBeUndefined();
    expect(recent.at(6 * 128 * KIB, Infinity)?.bytes[0]).toBe(6);
  });

  test('uses a block again when neither it nor a reader needs it, and not before', () => {
    const recent = new RecentBytes();
    const block = new SharedBlock();
    recent.push(block.bytes.subarray(0, 10), block);
    block.release();
    const piece = recent.at(0, 10);
    piece?.block?.retain();
    recent.clear();
    const meanwhile = new SharedBlock();
    expect(meanwhile.bytes).not.toBe(block.bytes);
    piece?.block?.release();
    expect(new SharedBlock().bytes).toBe(block.bytes);
  });
});
