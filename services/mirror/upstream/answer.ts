import type { ExchangeResponse } from './http-exchange.ts';
import { readBody } from './http-exchange.ts';
import { type Failure, limitedFor, NOT_FOUND, unavailable } from './outcome.ts';
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
export const isRegistryErrorBody = (value: unknown): boolean => errorCodeOf(value) !== undefined;

function errorCodeOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('errors' in value)) return undefined;
  const { errors } = value;
  if (!Array.isArray(errors)) return undefined;
  const first: unknown = errors[0];
  const isError =
    typeof first === 'object' &&
    first !== null &&
    'code' in first &&
    typeof first.code === 'string';
  return isError ? (first as { code: string }).code : undefined;
}

/** It comes from a registry: what stands before one sends no such header. */
const isFromRegistry = (response: ExchangeResponse): boolean =>
  response.header('docker-distribution-api-version') !== undefined;

const isAbsence = ({ status }: ExchangeResponse): boolean => status === 404 || status === 410;

/** A HEAD's 404 that anybody may have given: only the body that a GET would have tells. */
export const isUntoldAbsence = (response: ExchangeResponse): boolean =>
  isAbsence(response) && !isFromRegistry(response) && !isHtml(response);

/** The registry's own word that it knows no repository of that name. Reads the body. */
export async function isUnknownName(response: ExchangeResponse): Promise<boolean> {
  const body = await readBody(response.body, ERROR_BODY_MAX_BYTES, response.url);
  return errorCodeOf(parseJson(body)) === 'NAME_UNKNOWN';
}

/**
 * What an answer that is no success means. Reads or discards the body. A page for people is never a statement about
 * content, nor is a refusal by a host that the upstream redirected to, nor a 404 that is not a registry's own: a proxy
 * whose registry is gone answers so. `isPull`: a manifest was asked for by GET.
 */
export async function readFailure(
  response: ExchangeResponse,
  registry: URL,
  now: Date,
  isPull = false,
): Promise<Failure> {
  const { status, url } = response;
  const isOwn = url.origin === registry.origin;
  if ((status === 401 || status === 403) && isOwn && !isHtml(response)) {
    const body = await readBody(response.body, ERROR_BODY_MAX_BYTES, url);
    return { kind: 'denied', isRegistryAnswer: isRegistryErrorBody(parseJson(body)) };
  }
  if (isAbsence(response) && !isHtml(response)) {
    const body = await readBody(response.body, ERROR_BODY_MAX_BYTES, url);
    if (isFromRegistry(response) || isRegistryErrorBody(parseJson(body))) return NOT_FOUND;
    return unavailable('garbage', `${url.host} answered ${status}, and not as a registry does`);
  }
  const retryAfterSeconds = parseRetryAfter(response.header('retry-after'), now);
  if (status === 429 && isPull) {
    // Docker Hub's limit of pulls comes in the spec's form; the one on abuse, which is on everything, is plain text.
    const body = await readBody(response.body, ERROR_BODY_MAX_BYTES, url);
    const isPullLimit = isRegistryErrorBody(parseJson(body));
    return { ...limitedFor(retryAfterSeconds), isPullLimit };
  }
  response.discard();
  if (status === 429) return limitedFor(retryAfterSeconds);
  const reason = status >= 500 || status === 408 ? 'server-error' : 'garbage';
  return unavailable(reason, `${url.host} answered ${status}`, retryAfterSeconds);
}
