const BAD_SEGMENT = /(?:^|\/)\.{0,2}(?:\/|$)/;

/**
 * The key, when it stays below the root of the store. Keys are built from typed values in object-keys.ts; this is the
 * second lock: an empty, `.` or `..` segment or a NUL is a programming error and throws.
 */
export function requireKey(key: string): string {
  if (BAD_SEGMENT.test(key) || key.includes('\0')) {
    throw new Error(`not a key of the store: ${JSON.stringify(key)}`);
  }
  return key;
}
