import { withoutSecrets } from './logger.ts';

/** The message and its causes in one line, without secrets. */
export function describeReason(error: unknown): string {
  const messages: string[] = [];
  for (let cause = error; cause instanceof Error && messages.length < 5; cause = cause.cause) {
    if (cause.message !== '' && !messages.includes(cause.message)) messages.push(cause.message);
  }
  const reason = messages.length === 0 ? String(error) : messages.join(': ');
  return withoutSecrets(reason);
}
