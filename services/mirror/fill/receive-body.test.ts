import { setImmediate as turn } from 'node:timers/promises';

import { expect, test } from '@jest/globals';

import { systemClock } from '../../../shared/lifecycle/clock.ts';
import { LentBody } from '../../../shared/plain-http/lent-body.ts';
import { receiveBody } from './receive-body.ts';
import { SharedBlock } from './shared-block.ts';

const connection = { resume: () => undefined, release: () => undefined, destroy: () => undefined };
const makeBody = (): LentBody => new LentBody(connection, 1000, Buffer.alloc(0));
const received = (body: LentBody, accept: () => Promise<void>): Promise<unknown> =>
  receiveBody({ body, offset: 0, totalBytes: 1000, from: 'upstream' }, 0, accept, systemClock);

test('waits until the last piece is taken, although the connection broke, and only then uses its memory again', async () => {
  const body = makeBody();
  const taking = Promise.withResolvers<undefined>();
  let isOver = false;
  const over = received(body, () => taking.promise).finally(() => (isOver = true));
  const { buffer } = body;
  body.feed(buffer.subarray(0, 100));
  body.destroy(new Error('hung up'));
  await new Promise((resolve) => body.once('close', resolve));
  await turn();
  expect(isOver).toBe(false);
  expect(new SharedBlock().bytes.buffer).not.toBe(buffer.buffer);
  taking.resolve(undefined);
  expect(await over).toEqual(new Error('hung up'));
  expect(new SharedBlock().bytes.buffer).toBe(buffer.buffer);
});

test('throws what the last piece was refused with, although the connection broke before', async () => {
  const body = makeBody();
  const taking = Promise.withResolvers<undefined>();
  const over = received(body, () => taking.promise);
  body.feed(body.buffer.subarray(0, 100));
  body.destroy(new Error('hung up'));
  taking.reject(new Error('refused'));
  await expect(over).rejects.toThrow('refused');
});
