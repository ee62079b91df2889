import { expect, test } from '@jest/globals';

import { FairTurns, NoTurnError } from './fair-turns.ts';

const { signal } = new AbortController();

/** Work that ends when the test says so, and the names of what has begun. */
function bench(turns: FairTurns) {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const run = (group: string, from: AbortSignal = signal): Promise<void> =>
    turns.run(group, from, () => {
      begun.push(group);
      return new Promise((resolve) => void ends.push(resolve));
    });
  const endNext = async (count = 1): Promise<void> => {
    for (let ended = 0; ended < count; ended += 1) {
      ends.shift()?.();
      await settled();
    }
  };
  return { begun, run, endNext };
}

/** Everything that needs no time has happened. */
async function settled(): Promise<void> {
  for (let index = 0; index < 20; index += 1) await Promise.resolve();
}

test('a group with many in line holds up no other: groups take turns', async () => {
  const { begun, run, endNext } = bench(new FairTurns({ running: 1, waiting: 10, waitingEach: 5 }));
  const all = ['many', 'many', 'many', 'many', 'one', 'other'].map((group) => run(group));
  await settled();
  await endNext(all.length);
  await Promise.all(all);
  expect(begun).toEqual(['many', 'many', 'one', 'other', 'many', 'many']);
});

test('no group has more than its share at once, while others run', async () => {
  const turns = new FairTurns({ running: 3, runningEach: 1, waiting: 10, waitingEach: 5 });
  const { begun, run, endNext } = bench(turns);
  const all = ['many', 'many', 'one'].map((group) => run(group));
  await settled();
  expect(begun).toEqual(['many', 'one']);
  await endNext(all.length);
  await Promise.all(all);
  expect(begun).toEqual(['many', 'one', 'many']);
});

test('whoever comes when the line is full is turned away, of one group or of all', async () => {
  const { run, endNext } = bench(new FairTurns({ running: 1, waiting: 3, waitingEach: 2 }));
  const all = ['a', 'a', 'a'].map((group) => run(group));
  await settled();
  await expect(run('a')).rejects.toThrow(NoTurnError);
  all.push(run('b'));
  await settled();
  await expect(run('c')).rejects.toThrow(NoTurnError);
  await endNext(all.length);
  await Promise.all(all);
});

test('whoever leaves the line never begins, and what has begun is ended', async () => {
  const { begun, run, endNext } = bench(new FairTurns({ running: 1, waiting: 3, waitingEach: 3 }));
  const leaving = new AbortController();
  const all = [run('a'), run('b', leaving.signal), run('c')];
  await settled();
  leaving.abort(new Error('gone'));
  await expect(all[1]).rejects.toThrow('gone');
  await expect(run('d', leaving.signal)).rejects.toThrow('gone');
  await endNext();
  await endNext();
  await Promise.all([all[0], all[2]]);
  expect(begun).toEqual(['a', 'c']);
});

test('a failure gives the turn on', async () => {
  const turns = new FairTurns({ running: 1, waiting: 1, waitingEach: 1 });
  const failing = turns.run('a', signal, () => Promise.reject(new Error('no')));
  const next = turns.run('b', signal, () => Promise.resolve('yes'));
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('yes');
});
