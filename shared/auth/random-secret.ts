import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const BYTES = 32;
/** Tells tools that look for leaked secrets whose it is. */
const PREFIX = 'twp_';

/** Whether it looks like a secret that was made here. */
export const isOwnSecret = (secret: string): boolean => secret.startsWith(PREFIX);

/** 256 random bits as text that no shell and no URL changes. */
export const makeSecret = (): string => PREFIX + randomBytes(BYTES).toString('base64url');

/** What is kept of a secret that was made here: nobody guesses 256 bits, so that a plain hash is enough. */
export const hashSecret = (secret: string): string =>
  createHash('sha256').update(secret).digest('hex');

/** Compares in a time that tells nothing; without a kept hash it does the same work and says false. */
export function matchesSecret(secret: string, hash: string | undefined): boolean {
  const given = Buffer.from(hashSecret(secret), 'hex');
  const kept = Buffer.from(hash ?? '0'.repeat(given.length * 2), 'hex');
  return kept.length === given.length && timingSafeEqual(given, kept) && hash !== undefined;
}
