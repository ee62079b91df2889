/** A signal that aborts some time after another one. Whoever makes it disposes of it. */
export interface LingeringSignal extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * Aborts `lingerMs` after `signal` did: for writes that keep what a client sent before it went away. They must end, but
 * not at once.
 */
export function lingeringSignal(signal: AbortSignal, lingerMs: number): LingeringSignal {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    timer = setTimeout(() => {
      controller.abort(signal.reason);
    }, lingerMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    },
  };
}
