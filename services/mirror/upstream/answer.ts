import type { ExchangeResponse } from './http-exchange.ts';
import { readBody } from './http-exchange.ts';
import { type Failure, NOT_FOUND, unavailable } from './outcome.ts';
import { parseRetryAfter } from './retry-after.ts';

/** Of an error body this much is looked at. */
const ERROR_BODY_MAX_BYTES = 64 * 1024;

export const isHtml = (response: ExchangeResponse): boolean =>
  /^\s*(?:text\/html|application\/xhtml\+xml)\b/i.test(response.header('content-type') ?? '');

/** JSON, or undefined. */
export function parseJson(bytes: Buffer | undefined): unknown {
  if (!bytes) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** The spec's error body (spec.md#error-codes): `{"errors":[{"code":…}]}`. */
export function isRegistryErrorBody(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('errors' in value)) return false;
  const { errors } = value;
  if (!Array.isArray(errors)) return false;
  const first: unknown = errors[0];
  return (
    typeof first === 'object' && first !== null && 'code' in first && typeof first.code === 'string'
  );
}

/**
 * What an answer that is no success means. Reads or discards the body. A page for people is never a statement about
 * content, nor is a refusal by a host that the upstream redirected to.
 */
export async function readFailure(
  response: ExchangeResponse,
  registry: URL,
  now: Date,
): Promise<Failure> {
  const { status, url } = response;
  const isOwn = url.origin === registry.origin;
  if ((status === 401 || status === 403) && isOwn && !isHtml(response)) {
    const body = await readBody(response.body, ERROR_BODY_MAX_BYTES, url);
    return { kind: 'denied', isRegistryAnswer: isRegistryErrorBody(parseJson(body)) };
  }
  response.discard();
  if (status === 429) {
    return {
      kind: 'limited',
      retryAfterSeconds: parseRetryAfter(response.header('retry-after'), now),
    };
  }
  if ((status === 404 || status === 410) && !isHtml(response)) return NOT_FOUND;
  const reason = status >= 500 || status === 408 ? 'server-error' : 'garbage';
  return unavailable(reason, `${url.host} answered ${status}`);
}
