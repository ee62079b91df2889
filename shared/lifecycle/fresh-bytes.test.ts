import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { expect, test } from '@jest/globals';

import { waitFor } from '../../test/support/wait-for.ts';
import { noteFreshBytes } from './fresh-bytes.ts';

test('memory of bodies that have passed is given back before V8 looks through its whole heap', async () => {
  const MB = 1024 * 1024;
  // What others left in this process may go at any time, and would count as given back.
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const before = process.memoryUsage().arrayBuffers;
  for (let megabyte = 0; megabyte < 15; megabyte += 1) {
    Buffer.from(new ArrayBuffer(MB)).fill(1);
    noteFreshBytes(MB);
  }
  expect(process.memoryUsage().arrayBuffers).toBeGreaterThan(before + 14 * MB);
  noteFreshBytes(MB);
  await waitFor(() => process.memoryUsage().arrayBuffers < before + 4 * MB, {
    what: 'the memory to be given back',
  });
});
