import { beforeEach, describe, expect, test } from '@jest/globals';

import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { type BreakerFailure, CircuitBreaker } from './circuit-breaker.ts';

describe('a circuit breaker', () => {
  let clock: ManualClock;
  let breaker: CircuitBreaker;
  let changes: boolean[];
  let jitter: number;

  beforeEach(() => {
    clock = new ManualClock();
    changes = [];
    jitter = 0;
    const onChange = (isOpen: boolean): void => void changes.push(isOpen);
    breaker = new CircuitBreaker({ clock, onChange, random: () => jitter });
  });

  function fail(times: number, failure: BreakerFailure = 'unreachable', repository = 'a'): void {
    for (let count = 0; count < times; count += 1) breaker.enter(repository)?.failed(failure);
  }

  test('opens after five failures in a row, and not after four with an answer in between', () => {
    fail(4);
    breaker.enter('a')?.answered();
    fail(4);
    expect(breaker.isOpen).toBe(false);
    fail(1);
    expect(breaker.isOpen).toBe(true);
    expect(breaker.enter('b')).toBeUndefined();
    expect(breaker.retryAfterSeconds).toBe(1);
    expect(changes).toEqual([true]);
  });

  test('counts questions that hang before they fail, once each, and takes a late answer for one', () => {
    const attempts = [1, 2, 3, 4, 5].map(() => breaker.enter('a'));
    for (const attempt of attempts.slice(0, 4)) attempt?.hangs();
    attempts[0]?.failed('unreachable');
    expect(breaker.isOpen).toBe(false);
    attempts[4]?.hangs();
    expect(breaker.isOpen).toBe(true);
    attempts[1]?.answered();
    expect(breaker.isOpen).toBe(false);
    clock.advance(1_000);
    fail(5);
    clock.advance(1_000);
    const probe = breaker.enter('a');
    probe?.hangs();
    expect(breaker.isProbeDue).toBe(false);
    clock.advance(2_000);
    const next = breaker.enter('a');
    probe?.failed('unreachable');
    expect([next !== undefined, breaker.isProbeDue]).toEqual([true, false]);
  });

  test('lets one question through when its pause is over, and closes with its answer', () => {
    fail(5);
    expect(breaker.isProbeDue).toBe(false);
    clock.advance(1_000);
    expect(breaker.isProbeDue).toBe(true);
    const probe = breaker.enter('a');
    expect(probe).toBeDefined();
    expect(breaker.enter('a')).toBeUndefined();
    expect(breaker.isProbeDue).toBe(false);
    probe?.answered();
    expect(breaker.isOpen).toBe(false);
    expect(changes).toEqual([true, false]);
    fail(4);
    expect(breaker.isOpen).toBe(false);
  });

  test('waits twice as long after each probe that fails, up to half a minute', () => {
    fail(5);
    const pauses: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      let waitedMs = 0;
      for (; !breaker.isProbeDue; waitedMs += 500) clock.advance(500);
      pauses.push(waitedMs);
      fail(1);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    clock.advance(30_000);
    breaker.enter('a')?.answered();
    fail(5);
    clock.advance(1_000);
    expect(breaker.isProbeDue).toBe(true);
  });

  test('comes up to half of its pause earlier, so that processes do not try together', () => {
    jitter = 1;
    fail(5);
    clock.advance(499);
    expect(breaker.isProbeDue).toBe(false);
    clock.advance(1);
    expect(breaker.isProbeDue).toBe(true);
  });

  test('lets the next one try when whoever tried left without an answer', () => {
    fail(5);
    clock.advance(1_000);
    breaker.enter('a')?.abandoned();
    expect(breaker.isProbeDue).toBe(true);
    expect(breaker.enter('a')).toBeDefined();
  });

  test('closes with an answer to a question from before it opened', () => {
    const early = breaker.enter('a');
    const alsoEarly = breaker.enter('a');
    fail(5);
    early?.failed('unreachable');
    expect(breaker.retryAfterSeconds).toBe(1);
    alsoEarly?.answered();
    expect(breaker.isOpen).toBe(false);
  });

  test('never opens for errors of one repository alone', () => {
    fail(50, 'server-error', 'broken');
    expect(breaker.isOpen).toBe(false);
    fail(1, 'server-error', 'other');
    expect(breaker.isOpen).toBe(true);
  });

  test('counts an attempt once', () => {
    const attempts = Array.from({ length: 3 }, () => breaker.enter('a'));
    for (const attempt of attempts) {
      attempt?.failed('unreachable');
      attempt?.failed('unreachable');
    }
    expect(breaker.isOpen).toBe(false);
  });
});
