import { bodyAllowanceMs, type S3Deadlines } from './s3-deadlines.ts';
import { isAbsent, S3StorageError, storageFault } from './s3-errors.ts';

/** One operation of the store: its name in errors, its key relative to the store's root, and what ends it. */
export interface S3Call {
  readonly operation: string;
  readonly key: string;
  readonly signal: AbortSignal;
  /** Bytes that are sent along; they lengthen the deadlines. */
  readonly bodyBytes?: number;
  /** The store moves a whole object before it answers. */
  readonly isHeavy?: boolean;
  /** The store may need most of the time before it answers anything: asking it twice would not be quicker. */
  readonly isSlow?: boolean;
  /** The answer is read at the speed of a client. */
  readonly isPull?: boolean;
  /** The answer is read at once, and its body is not waited for longer than for its first byte. */
  readonly isSmall?: boolean;
  /** Of the time for the whole operation, what has passed already. */
  readonly spentMs?: number;
}

/** What each request of a call is sent with. */
export interface S3SendOptions {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout: number;
  readonly isPull: boolean;
}

/**
 * Sends one command, and ends it by its deadline or its signal, whichever comes first; undefined when the store says
 * that the object or upload is not there. All else that goes wrong is a StorageError.
 */
export async function timedCall<T>(
  call: S3Call,
  deadlines: S3Deadlines,
  send: (options: S3SendOptions) => Promise<T>,
): Promise<T | undefined> {
  call.signal.throwIfAborted();
  const allowanceMs = bodyAllowanceMs(call.bodyBytes ?? 0);
  const { firstByteMs, operationMs, heavyOperationMs } = deadlines;
  const wholeMs = (call.isHeavy === true ? heavyOperationMs : operationMs) + allowanceMs;
  const totalMs = Math.max(1, wholeMs - Math.round(call.spentMs ?? 0));
  const controller = new AbortController();
  const ended = Promise.withResolvers<never>();
  const end = (why: Error): void => {
    controller.abort(why);
    ended.reject(why);
  };
  const onAbort = (): void => {
    end(new Error('aborted'));
  };
  const timer = setTimeout(() => {
    end(new S3StorageError(call.operation, `${call.key}: no answer within ${wholeMs} ms`, true));
  }, totalMs);
  call.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const isOneTry = call.isHeavy === true || call.isSlow === true;
    const requestTimeout = isOneTry ? totalMs : firstByteMs + allowanceMs;
    const { isPull = false } = call;
    const sent = send({ abortSignal: controller.signal, requestTimeout, isPull });
    return await Promise.race([sent, ended.promise]);
  } catch (error) {
    call.signal.throwIfAborted();
    if (isAbsent(error)) return undefined;
    throw storageFault(call.operation, call.key, error);
  } finally {
    clearTimeout(timer);
    call.signal.removeEventListener('abort', onAbort);
  }
}
