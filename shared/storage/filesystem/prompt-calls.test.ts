import { tmpdir } from 'node:os';

import { describe, expect, test } from '@jest/globals';

import { PromptCalls } from './prompt-calls.ts';

const inPlace = (): string => 'in place';
const elsewhere = (): Promise<string> => Promise.resolve('elsewhere');

/** Keeps the event loop for so long. */
function busyMs(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs;);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('calls of the system in place', () => {
  test('none is made before the file system is known, nor on one of another machine', async () => {
    const calls = new PromptCalls();
    expect(await calls.either(inPlace, elsewhere)).toBe('elsewhere');
    await calls.prepare('/proc');
    expect(await calls.either(inPlace, elsewhere)).toBe('elsewhere');
  });

  test('they are left to the thread pool for a while after some were slow', async () => {
    const calls = new PromptCalls();
    await calls.prepare(tmpdir());
    expect(await calls.either(inPlace, elsewhere)).toBe('in place');
    for (let slow = 0; slow < 3; slow += 1) calls.make(() => busyMs(6));
    await nextTurn();
    expect(await calls.either(inPlace, elsewhere)).toBe('elsewhere');
  });

  test('they leave the rest of a turn of the event loop to everybody else', async () => {
    const calls = new PromptCalls();
    await calls.prepare(tmpdir());
    calls.make(() => busyMs(6));
    expect(await calls.either(inPlace, elsewhere)).toBe('elsewhere');
    await nextTurn();
    expect(await calls.either(inPlace, elsewhere)).toBe('in place');
  });

  test('a folder that is not there yet is asked about again', async () => {
    const calls = new PromptCalls();
    await expect(calls.prepare('/nowhere/at/all')).rejects.toThrow('ENOENT');
    await calls.prepare(tmpdir());
    expect(calls.arePrompt).toBe(true);
  });
});
