import { z } from 'zod';

import { type Digest, parseDigest } from './digest.ts';

const platform = z.object({
  os: z.string().min(1),
  architecture: z.string().min(1),
  variant: z.string().nullish(),
});
const child = z.object({ digest: z.string(), platform: platform.nullish() });
const index = z.object({ manifests: z.array(z.unknown()) });

/**
 * The platforms of an index' children as clients write them, `os/architecture[/variant]` (image-spec, image-index.md).
 * A child without a platform, or with one that cannot be read, is left out; what is no index has none.
 */
export function childPlatforms(bytes: Buffer): ReadonlyMap<Digest, string> {
  const platforms = new Map<Digest, string>();
  const parsed = index.safeParse(parseJson(bytes));
  for (const entry of parsed.data?.manifests ?? []) {
    const { data } = child.safeParse(entry);
    const digest = data && parseDigest(data.digest);
    if (!digest || !data.platform) continue;
    const { os, architecture, variant } = data.platform;
    platforms.set(digest, [os, architecture, ...(variant ? [variant] : [])].join('/'));
  }
  return platforms;
}

/** True when a child of the platform is meant by what was asked for: `linux/arm64` means each of its variants. */
export const isPlatform = (asked: string, platform: string): boolean =>
  platform === asked || platform.startsWith(`${asked}/`);

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
