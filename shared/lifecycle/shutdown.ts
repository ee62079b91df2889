import type { Clock } from './clock.ts';

/** One step on the way out. `signal` aborts when its time is over. */
export interface ShutdownPhase {
  readonly name: string;
  readonly capMs: number;
  run(signal: AbortSignal): Promise<void> | void;
}

/** A step that failed or did not end in its time. */
export interface ShutdownFault {
  readonly phase: string;
  readonly error: unknown;
}

/**
 * Runs the phases one after the other, each for at most its cap; a phase that fails or hangs never keeps a later one
 * from running. Resolves with what went wrong; never rejects.
 */
export async function runShutdown(
  phases: readonly ShutdownPhase[],
  clock: Clock,
): Promise<ShutdownFault[]> {
  const faults: ShutdownFault[] = [];
  for (const phase of phases) {
    const ended = new AbortController();
    const expired = new AbortController();
    const cap = clock.sleep(phase.capMs, ended.signal).then(
      () => {
        expired.abort();
        throw new Error(`not done after ${phase.capMs} ms`);
      },
      () => undefined,
    );
    try {
      await Promise.race([Promise.resolve(phase.run(expired.signal)), cap]);
    } catch (error) {
      faults.push({ phase: phase.name, error });
    } finally {
      ended.abort();
    }
  }
  return faults;
}

export type StopSignal = 'SIGTERM' | 'SIGINT';

/** Where signals arrive: the process, or an emitter in tests. */
export interface SignalSource {
  on(signal: StopSignal, listener: (signal: StopSignal) => void): unknown;
  off(signal: StopSignal, listener: (signal: StopSignal) => void): unknown;
}

export interface StopListeners {
  /** The first signal. */
  stop(signal: StopSignal): void;
  /** Another one: whoever sent it does not want to wait. */
  stopNow(signal: StopSignal): void;
}

/**
 * Ctrl-C under npm arrives twice, from the terminal and passed on by npm, within milliseconds: that is one wish.
 */
const ECHO_MS = 500;

/** Tells the first signal to stop from those that insist. Returns what takes the listeners away again. */
export function onStopSignals(
  source: SignalSource,
  clock: Clock,
  listeners: StopListeners,
): () => void {
  let firstMs: number | undefined;
  const listener = (signal: StopSignal): void => {
    const now = clock.monotonicMs();
    if (firstMs === undefined) {
      firstMs = now;
      listeners.stop(signal);
    } else if (now - firstMs >= ECHO_MS) {
      listeners.stopNow(signal);
    }
  };
  source.on('SIGTERM', listener);
  source.on('SIGINT', listener);
  return () => {
    source.off('SIGTERM', listener);
    source.off('SIGINT', listener);
  };
}
