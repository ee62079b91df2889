/** How much of a budget of pulls an upstream says is left (Docker Hub's `ratelimit-…` headers). */
export interface Quota {
  readonly limit: number;
  readonly remaining: number;
  readonly windowSeconds: number;
  /** Whose budget it is where the upstream tells: an address, or an account's number. */
  readonly source: string | undefined;
}

const DEFAULT_WINDOW_SECONDS = 6 * 60 * 60;
const MAX_WINDOW_SECONDS = 7 * 24 * 60 * 60;
const MAX_SOURCE_LENGTH = 64;

/** Reads `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`; undefined where one of them is missing. */
export function parseQuota(header: (name: string) => string | undefined): Quota | undefined {
  const limit = parseAmount(header('ratelimit-limit'));
  const remaining = parseAmount(header('ratelimit-remaining'));
  if (!limit || !remaining || limit.amount === 0) return undefined;
  const source = header('docker-ratelimit-source')?.trim().slice(0, MAX_SOURCE_LENGTH);
  return {
    limit: limit.amount,
    remaining: Math.min(remaining.amount, limit.amount),
    windowSeconds: limit.windowSeconds ?? remaining.windowSeconds ?? DEFAULT_WINDOW_SECONDS,
    source: source === '' ? undefined : source,
  };
}

function parseAmount(
  value: string | undefined,
): { readonly amount: number; readonly windowSeconds: number | undefined } | undefined {
  const match = /^\s*(\d{1,9})\s*(?:$|[;,])/.exec(value ?? '');
  if (!match) return undefined;
  const window = /;\s*w\s*=\s*(\d{1,9})/i.exec(value ?? '')?.[1];
  const windowSeconds =
    window === undefined ? undefined : Math.min(Math.max(Number(window), 1), MAX_WINDOW_SECONDS);
  return { amount: Number(match[1]), windowSeconds };
}

/** Above this share of the budget nothing is saved. */
const AMPLE_SHARE = 0.5;
const MAX_STRETCH = 16;

/**
 * By how much tags live longer as the budget runs low: 1 as long as half of it is left, doubled with each halving from
 * there (2 at a quarter, 4 at an eighth), 16 at the most. `share` is 0 … 1; undefined: unlimited, or not known.
 */
export function ttlStretch(share: number | undefined): number {
  if (share === undefined || share >= AMPLE_SHARE) return 1;
  return Math.min(AMPLE_SHARE / Math.max(share, AMPLE_SHARE / MAX_STRETCH), MAX_STRETCH);
}
