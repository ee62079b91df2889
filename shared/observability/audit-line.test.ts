import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { auditLine } from './audit-line.ts';

const TIME = new Date('2026-11-21T20:00:00.000Z');

describe('auditLine', () => {
  test('an event is one line of JSON with its time', () => {
    const line = auditLine(
      { action: 'push', result: 'done', repository: 'a/b', status: 201 },
      TIME,
    );
    expect(line).toBe(
      '{"time":"2026-11-21T20:00:00.000Z","action":"push","result":"done","repository":"a/b","status":201}\n',
    );
  });

  test('nothing in a name ends the line or reaches a terminal', () => {
    const claimedName =
      'a\r\n{"action":"push"}\u001b[2J\u2028\u2029\u202e\u0085\u007f\u{e0041}\0é漢😀';
    const line = auditLine({ action: 'sign-in', result: 'denied', claimedName }, TIME);
    expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(line).toContain('é漢😀');
    expect(JSON.parse(line)).toMatchObject({ claimedName });
  });

  test('a field that is too long is cut and says so', () => {
    const line = auditLine(
      { action: 'sign-in', result: 'denied', claimedName: 'x'.repeat(65_536) },
      TIME,
    );
    expect(line.length).toBeLessThan(700);
    expect(line).toContain('x… (65536 characters)');
  });

  test('whatever a name holds, the line is one and can be read', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (claimedName) => {
        const line = auditLine({ action: 'sign-in', result: 'denied', claimedName }, TIME);
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(JSON.parse(line)).toHaveProperty('claimedName');
      }),
    );
  });
});
