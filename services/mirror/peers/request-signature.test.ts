import { describe, expect, test } from '@jest/globals';

import { ManualClock } from '../../../shared/index/testing/manual-clock.ts';
import { MAX_SKEW_MS, SignatureCheck, signRequest } from './request-signature.ts';

const SECRET = 'a secret that is long enough for this';
const REQUEST = { audience: '10.0.0.7:5002', path: '/internal/v1/fills/sha256:0?from=0' };

describe('a signed request', () => {
  test('is accepted once', () => {
    const clock = new ManualClock();
    const check = new SignatureCheck(clock);
    const signed = signRequest(SECRET, REQUEST, clock.now());
    expect(check.accepts(SECRET, REQUEST, signed)).toBe(true);
    expect(check.accepts(SECRET, REQUEST, signed)).toBe(false);
    expect(check.accepts(SECRET, REQUEST, signRequest(SECRET, REQUEST, clock.now()))).toBe(true);
  });

  test('is good for nothing else, nowhere else, and with no other secret', () => {
    const clock = new ManualClock();
    const check = new SignatureCheck(clock);
    const signed = signRequest(SECRET, REQUEST, clock.now());
    expect(check.accepts(SECRET, { ...REQUEST, audience: '10.0.0.8:5002' }, signed)).toBe(false);
    expect(check.accepts(SECRET, { ...REQUEST, path: `${REQUEST.path}1` }, signed)).toBe(false);
    expect(check.accepts(`${SECRET}!`, REQUEST, signed)).toBe(false);
    for (let at = 0; at < signed.length; at += 1) {
      const other = signed.charAt(at) === '1' ? '2' : '1';
      const changed = `${signed.slice(0, at)}${other}${signed.slice(at + 1)}`;
      expect(check.accepts(SECRET, REQUEST, changed)).toBe(false);
    }
    for (const nonsense of [undefined, '', 'Bearer x', signed.slice(0, -1), `${signed}0`]) {
      expect(check.accepts(SECRET, REQUEST, nonsense)).toBe(false);
    }
    expect(check.accepts(SECRET, REQUEST, signed)).toBe(true);
  });

  test('is accepted as far as clocks may be apart, and no further', () => {
    const clock = new ManualClock();
    const check = new SignatureCheck(clock);
    const at = (ms: number): string =>
      signRequest(SECRET, REQUEST, new Date(clock.now().getTime() + ms));
    for (const ms of [-MAX_SKEW_MS, MAX_SKEW_MS]) {
      expect(check.accepts(SECRET, REQUEST, at(ms))).toBe(true);
      expect(check.accepts(SECRET, REQUEST, at(ms + Math.sign(ms)))).toBe(false);
    }
  });

  test('cannot be replayed as long as it is good', () => {
    const clock = new ManualClock();
    const check = new SignatureCheck(clock);
    const ahead = signRequest(SECRET, REQUEST, new Date(clock.now().getTime() + MAX_SKEW_MS));
    expect(check.accepts(SECRET, REQUEST, ahead)).toBe(true);
    for (let step = 0; step < 7; step += 1) {
      clock.advance(MAX_SKEW_MS / 3);
      expect(check.accepts(SECRET, REQUEST, ahead)).toBe(false);
    }
  });
});
