import type { Clock } from '../lifecycle/clock.ts';
import type { Log, Observer, Operation } from '../observability/observer.ts';

/** The status of a request whose client left before its answer; never sent, only logged and counted. */
const CLIENT_CLOSED_REQUEST = 499;

/** What is known of a request as it goes along. */
export interface RequestFacts {
  operation: Operation;
  method: string;
  repository?: string;
  reference?: string;
  bytesIn: number;
}

export interface RequestOutcome {
  readonly status: number;
  readonly bytesOut: number;
  readonly isClientGone: boolean;
}

export interface RequestLogOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly observer: Observer;
}

/** Writes one line and one observation for each request, when its connection is done with it. */
export class RequestLog {
  readonly #options: RequestLogOptions;

  constructor(options: RequestLogOptions) {
    this.#options = options;
  }

  /** Begins a request; call the result once, at its end. */
  begin(facts: RequestFacts): (outcome: RequestOutcome) => void {
    const { clock, log, observer } = this.#options;
    const startedMs = clock.monotonicMs();
    return ({ status, bytesOut, isClientGone }) => {
      const ms = clock.monotonicMs() - startedMs;
      const logged = isClientGone ? CLIENT_CLOSED_REQUEST : status;
      observer.request({
        operation: facts.operation,
        status: logged,
        seconds: ms / 1000,
        bytesIn: facts.bytesIn,
        bytesOut,
        isClientGone,
      });
      log.info({ ...facts, status: logged, bytesOut, ms: Math.round(ms * 10) / 10 }, 'request');
    };
  }
}
