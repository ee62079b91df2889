import {
  type Log,
  type Observer,
  type QuotaObservation,
  type RequestObservation,
  UNOBSERVED,
} from '../../observability/observer.ts';

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error' | 'debug';
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** A log and an observer that keep what they are told. */
export class RecordedEdge {
  readonly lines: LogLine[] = [];
  readonly requests: RequestObservation[] = [];
  readonly damages: string[] = [];
  readonly quotas: QuotaObservation[] = [];

  readonly log: Log = {
    info: (fields, message) => void this.lines.push({ level: 'info', message, fields }),
    warn: (fields, message) => void this.lines.push({ level: 'warn', message, fields }),
    error: (fields, message) => void this.lines.push({ level: 'error', message, fields }),
    debug: (fields, message) => void this.lines.push({ level: 'debug', message, fields }),
  };

  readonly observer: Observer = {
    ...UNOBSERVED,
    request: (observation) => void this.requests.push(observation),
    damage: (kind) => void this.damages.push(kind),
    quota: (quota) => void this.quotas.push(quota),
  };
}

/** No measurement: what comes true at all comes sooner, on a machine however busy. */
const PATIENCE_MS = 60_000;

/** Resolves as soon as the condition holds; fails after a minute. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('the condition did not come true');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
