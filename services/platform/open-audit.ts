import { auditLine } from '../../shared/observability/audit-line.ts';
import type { AuditLog } from '../../shared/observability/audit-log.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { Log } from '../../shared/observability/observer.ts';

/** An audit log and its end. */
export interface OpenAudit {
  /** Undefined: nobody keeps a record. */
  readonly audit: AuditLog | undefined;
  close(): void;
}

/**
 * The record that `AUDIT_LOG` asks for: a file, or `stdout`, whose lines `write` takes. Rejects when the file cannot be
 * opened.
 */
export async function openAudit(
  target: string | undefined,
  clock: Clock,
  log: Log,
  write = (line: string): void => void process.stdout.write(line),
): Promise<OpenAudit> {
  if (target === undefined) return { audit: undefined, close: () => undefined };
  if (target === 'stdout') {
    const audit: AuditLog = { record: (event) => write(auditLine(event, clock.now())) };
    return { audit, close: () => undefined };
  }
  const { FileAuditLog } = await import('../../shared/observability/file-audit-log.ts');
  const file = new FileAuditLog(target, clock, log);
  return { audit: file, close: () => file.close() };
}
