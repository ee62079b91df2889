import { createHash, webcrypto } from 'node:crypto';

const HEADER = 'x-amz-content-sha256';
/** Above this the hash is made on another thread, so that one part does not hold up every other request. */
const INLINE_BYTES = 256 * 1024;

/**
 * A middleware of the SDK (step `build`) that signs a body by the SHA-256 that we have already, in place of one that
 * the SDK would make anew; the store refuses bytes that arrive with another one.
 */
export function payloadHash(sha256: string) {
  return <Args extends { request: unknown }, Result>(next: (args: Args) => Promise<Result>) =>
    async (args: Args): Promise<Result> => {
      const request = args.request as { headers: Record<string, string> };
      request.headers[HEADER] = sha256;
      return await next(args);
    };
}

/** The SHA-256 of bytes in memory, in hex. */
export async function sha256Of(bytes: Buffer): Promise<string> {
  if (bytes.length <= INLINE_BYTES) return createHash('sha256').update(bytes).digest('hex');
  const hash = await webcrypto.subtle.digest('SHA-256', bytes as Buffer<ArrayBuffer>);
  return Buffer.from(hash).toString('hex');
}
