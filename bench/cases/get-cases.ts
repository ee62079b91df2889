import { type GetLoad, runGetLoad } from '../measure/get-load.ts';
import type { Seed, SeedManifest } from '../seed/content.ts';
import { type Case, metered } from './case.ts';

const MB = 1e6;
/** Enough to keep two processors busy, few enough that no queue hides a slow answer. */
const CONNECTIONS = 32;
const BLOB_CONNECTIONS = 8;

interface GetCase {
  readonly id: string;
  readonly title: string;
  readonly method?: 'HEAD';
  readonly isQuick?: boolean;
  readonly paths: (seed: Seed) => readonly string[];
  /** Size of the answer, where bytes are what counts. */
  readonly bytes?: (seed: Seed) => number;
}

const byTag = ({ repository, tag }: SeedManifest): string => `/v2/${repository}/manifests/${tag}`;
const byDigest = ({ repository, digest }: SeedManifest): string =>
  `/v2/${repository}/manifests/${digest}`;
const one = (seed: Seed, path: (manifest: SeedManifest) => string): string[] =>
  seed.manifests.slice(0, 1).map(path);
const blob = (seed: Seed, digest: string): string[] => [
  `/v2/${seed.blobRepository}/blobs/${digest}`,
];

const CASES: readonly GetCase[] = [
  {
    id: 'manifest-tag-1',
    title: 'manifest GET by tag, one manifest',
    isQuick: true,
    paths: (seed) => one(seed, byTag),
  },
  {
    id: 'manifest-digest-1',
    title: 'manifest GET by digest, one manifest',
    paths: (seed) => one(seed, byDigest),
  },
  {
    id: 'manifest-tag-all',
    title: 'manifest GET by tag, the working set at random',
    isQuick: true,
    paths: (seed) => seed.manifests.map(byTag),
  },
  {
    id: 'manifest-digest-all',
    title: 'manifest GET by digest, the working set at random',
    paths: (seed) => seed.manifests.map(byDigest),
  },
  {
    id: 'manifest-head-tag',
    title: 'manifest HEAD by tag, one manifest',
    method: 'HEAD',
    isQuick: true,
    paths: (seed) => one(seed, byTag),
  },
  {
    id: 'manifest-head-digest',
    title: 'manifest HEAD by digest, one manifest',
    method: 'HEAD',
    paths: (seed) => one(seed, byDigest),
  },
  {
    id: 'config-get',
    title: 'config blob GET, 7 kB',
    isQuick: true,
    paths: (seed) => blob(seed, seed.blobs.config.digest),
  },
  {
    id: 'blob-2mb',
    title: 'blob GET, 2 MB',
    paths: (seed) => blob(seed, seed.blobs.small.digest),
    bytes: (seed) => seed.blobs.small.bytes.length,
  },
  {
    id: 'blob-60mb',
    title: 'blob GET, 60 MB',
    isQuick: true,
    paths: (seed) => blob(seed, seed.blobs.large.digest),
    bytes: (seed) => seed.blobs.large.bytes.length,
  },
];

/** Everything that is read with wrk or hey. Any failed answer fails the run: it would count as a fast one. */
export const GET_CASES: readonly Case[] = CASES.map((definition) => {
  const { id, title, paths, bytes, isQuick = false } = definition;
  const method = definition.method ?? 'GET';
  return {
    id,
    title,
    isQuick,
    unit: bytes ? 'MB/s' : 'requests/s',
    run: (subject, { seed, seconds, scratch }) =>
      metered(subject, async () => {
        const connections = bytes ? BLOB_CONNECTIONS : CONNECTIONS;
        const load: GetLoad = {
          url: subject.url,
          paths: paths(seed),
          method,
          connections,
          seconds,
        };
        const result = await runGetLoad(load, scratch);
        if (result.failures > 0 || result.requests === 0) {
          const { failures, requests } = result;
          throw new Error(`${id} at ${subject.name}: ${failures} of ${requests} requests failed`);
        }
        const units = bytes ? (result.requests * bytes(seed)) / MB : result.requests;
        return { units, seconds: result.seconds, p99Ms: result.p99Ms };
      }),
  };
});
