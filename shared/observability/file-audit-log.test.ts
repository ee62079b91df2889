import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { ManualClock } from '../index/testing/manual-clock.ts';
import { FileAuditLog } from './file-audit-log.ts';
import type { Log } from './observer.ts';

let folder: string;
let file: string;
const clock = new ManualClock();
let errors: Record<string, unknown>[];
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (fields) => void errors.push(fields),
};

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'audit-'));
  file = path.join(folder, 'log', 'audit.jsonl');
  errors = [];
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const event = (repository: string) => ({ action: 'push', result: 'done', repository }) as const;
const namesIn = (name: string): unknown[] =>
  readFileSync(name, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { repository: unknown }).repository);

describe('FileAuditLog', () => {
  test('an event is in the file when record returns, and what was there before stays', () => {
    const first = new FileAuditLog(file, clock, log);
    first.record(event('a'));
    first.close();
    const second = new FileAuditLog(file, clock, log);
    second.record(event('b'));
    expect(namesIn(file)).toEqual(['a', 'b']);
    expect(statSync(file).mode & 0o007).toBe(0);
    second.close();
  });

  test('a file that was moved away is followed by a new one within a second', () => {
    const audit = new FileAuditLog(file, clock, log);
    audit.record(event('a'));
    renameSync(file, `${file}.1`);
    clock.advance(1_000);
    audit.record(event('b'));
    expect(namesIn(`${file}.1`)).toEqual(['a']);
    expect(namesIn(file)).toEqual(['b']);
    audit.close();
  });

  test('two processes may write into one file', () => {
    const [one, other] = [new FileAuditLog(file, clock, log), new FileAuditLog(file, clock, log)];
    one.record(event('a'));
    other.record(event('b'));
    one.record(event('c'));
    expect(namesIn(file)).toEqual(['a', 'b', 'c']);
    one.close();
    other.close();
  });

  test('what cannot be written goes to the log, and nobody is told otherwise', () => {
    const audit = new FileAuditLog(file, clock, log);
    rmSync(path.dirname(file), { recursive: true });
    clock.advance(1_000);
    audit.record(event('a'));
    expect(errors).toMatchObject([{ event: { repository: 'a' } }]);
    audit.close();
  });

  test('a file that cannot be opened is told at once', () => {
    for (const wrong of [folder, path.join(folder, 'no', 'such', 'folder'), '/proc/none/audit']) {
      expect(() => new FileAuditLog(wrong, clock, log)).toThrow(`AUDIT_LOG (${wrong})`);
    }
  });
});
