import { expect, test } from '@jest/globals';

import { JoinedWork } from './joined-work.ts';

const { signal } = new AbortController();

test('calls of one key share one task, which goes on while anybody waits', async () => {
  const work = new JoinedWork<string>();
  const done = Promise.withResolvers<string>();
  let tasks = 0;
  let ended: AbortSignal | undefined;
  const task = (end: AbortSignal): Promise<string> => {
    tasks += 1;
    ended = end;
    return done.promise;
  };
  const leaving = new AbortController();
  const left = work.run('k', leaving.signal, task);
  const stays = work.run('k', signal, task);
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  expect(ended?.aborted).toBe(false);
  done.resolve('done');
  expect(await stays).toBe('done');
  expect(tasks).toBe(1);
});

test('a task that nobody waits for any more is told so, and the next call begins anew', async () => {
  const work = new JoinedWork<string>();
  const leaving = new AbortController();
  let ended: AbortSignal | undefined;
  const left = work.run('k', leaving.signal, (end) => {
    ended = end;
    return new Promise(() => undefined);
  });
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  expect(ended?.aborted).toBe(true);
  expect(await work.run('k', signal, () => Promise.resolve('anew'))).toBe('anew');
});
