import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { digestOf } from '../../shared/oci/digest.ts';
import { MANIFEST_MAX_BYTES, MEDIA_TYPES } from '../../shared/oci/media-types.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type FixtureManifest } from '../support/oci-fixtures.ts';
import { pullManifest, pushManifest } from '../support/registry-client.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { startRedis } from '../support/start-redis.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { call } from './call-table.ts';
import { config, configDigest, manifest } from './wire-content.ts';

interface Listed {
  readonly digest: string;
  readonly artifactType: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Follows the pages as clients do; each must be small enough for them. */
async function followReferrers(first: string): Promise<Listed[][]> {
  const pages: Listed[][] = [];
  let next: URL | undefined = new URL(first);
  while (next) {
    const answer: Response = await fetch(next);
    expect(answer.status).toBe(200);
    const body = Buffer.from(await answer.arrayBuffer());
    expect(body.length).toBeLessThanOrEqual(MANIFEST_MAX_BYTES);
    pages.push((JSON.parse(body.toString()) as { manifests: Listed[] }).manifests);
    const link = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1];
    // containerd goes on only where the path stays the same.
    if (link !== undefined) expect(new URL(link, next).pathname).toBe(next.pathname);
    next = link === undefined ? undefined : new URL(link, next);
  }
  return pages;
}

const typeOf = (i: number): string => `application/example.${i % 2}`;

/** A referrer of its subject, which need not be there. */
function makeReferrer(subject: string, i: number, text: string): FixtureManifest {
  const mediaType = MEDIA_TYPES.ociManifest;
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      artifactType: typeOf(i),
      config: { mediaType: 'application/example', digest: configDigest, size: config.length },
      layers: [],
      subject: { mediaType, digest: subject, size: 1 },
      annotations: { text, i: String(i) },
    }),
  );
  return { mediaType, bytes, digest: digestOf(bytes) };
}

const digestsOf = (referrers: readonly FixtureManifest[]): string[] =>
  referrers.map(({ digest }) => digest).sort();

describeWithTools(['redis-server'], 'referrers that are more than one answer holds', () => {
  const subject = digestOf(manifest);
  const modest = digestOf(config);
  const large = [20, 2_000_000, 20, 2_000_000, 900_000, 2_000_000, 1_000_000, 20].map((size, i) =>
    makeReferrer(subject, i, 'x'.repeat(size)),
  );
  const small = Array.from({ length: 12 }, (_, i) => makeReferrer(modest, i, ''));

  describe.each(['the store alone', 'Redis'])('over %s', (kind) => {
    const stops: (() => Promise<unknown>)[] = [];
    let push: TwinportProcess;
    let mirror: TwinportProcess;

    beforeAll(async () => {
      const folder = makeTempFolder('wire');
      const remote = makeTempFolder('wire');
      stops.push(() => Promise.all([folder, remote].map(removeTempFolder)));
      const redis = kind === 'Redis' ? await startRedis({ own: true }) : undefined;
      if (redis) stops.push(() => redis.stop());
      const upstream = await startTwinport({ role: 'push', storage: { dataDir: remote } });
      stops.push(() => upstream.stop());
      const options = {
        storage: { dataDir: folder },
        ...(redis && { redisUrl: redis.url }),
        upstreamUrl: upstream.url,
      };
      push = await startTwinport({ role: 'push', ...options });
      mirror = await startTwinport({ role: 'mirror', ...options });
      stops.push(() => Promise.all([push.stop(), mirror.stop()]));
      for (const [url, name] of [
        [push.url, 'team/app'],
        [upstream.url, 'org/image'],
      ] as const) {
        const path = `/v2/${name}/blobs/uploads/?digest=${configDigest}`;
        expect(await call(url, { method: 'POST', path, body: config })).toMatchObject({
          status: 201,
        });
        for (const one of [...large, ...small]) await pushManifest(url, name, one.digest, one);
      }
      // The mirror lists what it holds: what was pulled once.
      for (const { digest } of [...large, ...small]) {
        await pullManifest(mirror.url, 'org/image', digest);
      }
    });
    afterAll(async () => {
      for (const stop of stops.reverse()) await stop();
    });

    test.each([
      ['push', 'team/app', ''],
      ['mirror', 'team/app', ''],
      ['mirror', 'local/team/app', ''],
      ['mirror', 'mirror/org/image', ''],
      ['mirror', 'org/image', 'ns=docker.io'],
      ['push', 'docker.io/org/image', ''],
    ] as const)('come in pages at the %s as %s %s', async (role, name, ns) => {
      const { url } = role === 'push' ? push : mirror;
      const list = (of: string, query = ''): Promise<Listed[][]> =>
        followReferrers(
          `${url}/v2/${name}/referrers/${of}?${[ns, query].filter(Boolean).join('&')}`,
        );
      for (const round of ['first', 'again']) {
        const pages = await list(subject);
        expect(pages.length).toBeGreaterThan(1);
        const digests = pages.flat().map(({ digest }) => digest);
        expect({ round, digests }).toEqual({ round, digests: digestsOf(large) });
      }
      const odd = await list(subject, `artifactType=${typeOf(1)}`);
      expect(odd.flat().map(({ digest }) => digest)).toEqual(
        digestsOf(large.filter((_, i) => i % 2 === 1)),
      );
      expect(odd.length).toBeGreaterThan(1);
      const one = await list(modest);
      expect(one).toHaveLength(1);
      expect(one.flat().map(({ digest }) => digest)).toEqual(digestsOf(small));
      const few = await list(modest, 'n=5');
      expect(few.map(({ length }) => length)).toEqual([5, 5, 2]);
      expect(few.flat().map(({ digest }) => digest)).toEqual(digestsOf(small));
    });
  });
});
