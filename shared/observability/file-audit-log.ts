import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

import type { Clock } from '../lifecycle/clock.ts';
import type { AuditEvent, AuditLog } from './audit-log.ts';
import { auditLine } from './audit-line.ts';
import type { Log } from './observer.ts';

/** How long lines may still go into a file that was moved away. */
const LOOK_AGAIN_MS = 1_000;
/** Whoever reads it learns who works here and on what. */
const MODE = 0o640;

/**
 * JSON lines at the end of a file, each written by one call before `record` returns: nothing is lost with the process,
 * and several processes may share the file. A file that was moved or removed (logrotate's `create` or nothing, no
 * signal needed) is opened anew within a second. When it cannot be written, the event goes to the ordinary log
 * instead, with the reason.
 */
export class FileAuditLog implements AuditLog {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #descriptor: number | undefined;
  #lookedAtMs = -Infinity;

  /** Throws when the file cannot be opened: a record that nobody keeps must not look like one that is kept. */
  constructor(file: string, clock: Clock, log: Log) {
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
    try {
      // One level alone: where no folder can be made, as in /proc, Node tries to make several of them for ever.
      const folder = path.dirname(file);
      if (!existsSync(folder)) mkdirSync(folder);
      this.#open();
    } catch (cause) {
      throw new Error(`AUDIT_LOG (${file}) cannot be written`, { cause });
    }
  }

  record(event: AuditEvent): void {
    try {
      this.#followMoves();
      writeWhole(this.#descriptor ?? this.#open(), auditLine(event, this.#clock.now()));
    } catch (error) {
      this.#log.error({ event, err: error }, 'the audit log cannot be written');
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #open(): number {
    this.#descriptor = openSync(this.#file, 'a', MODE);
    return this.#descriptor;
  }

  #followMoves(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#descriptor === undefined || nowMs - this.#lookedAtMs < LOOK_AGAIN_MS) return;
    this.#lookedAtMs = nowMs;
    const ours = fstatSync(this.#descriptor);
    const there = statSync(this.#file, { throwIfNoEntry: false });
    if (there?.ino !== ours.ino || there.dev !== ours.dev) this.close();
  }
}

function writeWhole(descriptor: number, line: string): void {
  const bytes = Buffer.from(line);
  const written = writeSync(descriptor, bytes);
  // A disk that is nearly full takes a part.
  if (written < bytes.length) throw new Error('only a part of the line was written');
}
