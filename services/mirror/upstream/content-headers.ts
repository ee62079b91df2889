import type { ExchangeResponse } from './http-exchange.ts';

/** Of the whole body, in bytes; undefined where it is not told. */
export function contentLength(response: ExchangeResponse): number | undefined {
  const value = response.header('content-length') ?? '';
  return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** `bytes a-b/total` (RFC 9110, 14.4). */
export function contentRange(
  response: ExchangeResponse,
): { offset: number; totalBytes: number } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/i.exec(
    response.header('content-range')?.trim() ?? '',
  );
  return match ? { offset: Number(match[1]), totalBytes: Number(match[3]) } : undefined;
}
