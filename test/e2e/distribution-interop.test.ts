import { createHash } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { auditTestStore } from '../integration/audit-test-store.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { type DistributionRegistry, startDistribution } from '../support/distribution.ts';
import { makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { locationOf, pullImage, pushImage, pushManifest } from '../support/registry-client.ts';
import { catalogOf, contentsOf, tagsOf } from '../support/registry-contents.ts';
import { startTwinport, type TwinportProcess, withRedis } from '../support/registry-process.ts';
import { startMinio } from '../support/start-s3.ts';
import { startRedis } from '../support/start-redis.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { ToolName } from '../support/tools.ts';
import { twinport } from '../support/twinport-command.ts';
import { MANY_TAGS, pushVariedImages, type VariedImages } from '../support/varied-images.ts';
import { waitFor } from '../support/wait-for.ts';

const OCI = 'application/vnd.oci.image.manifest.v1+json';

const STORES: readonly { where: string; tools: readonly ToolName[] }[] = [
  { where: 'a folder', tools: ['registry'] },
  { where: 'a bucket, with a Redis index', tools: ['registry', 'minio', 'redis-server'] },
];

describe.each(STORES)('Twinport and distribution over $where', ({ where, tools }) => {
  describeWithTools(tools, 'in turn', () => {
    const servers = new OwnedServers();
    let storage: { dataDir: string } | Awaited<ReturnType<typeof startMinio>>;
    let redis: { REDIS_URL?: string } = {};
    let twin: TwinportProcess;
    let other: DistributionRegistry;
    let ours: VariedImages;
    let theirs: VariedImages;

    beforeAll(async () => {
      if (where === 'a folder') storage = { dataDir: makeTempFolder('interop') };
      else {
        storage = await servers.own(startMinio());
        redis = withRedis((await servers.own(startRedis())).url);
      }
      other = await servers.own(startDistribution(storage));
      theirs = await pushVariedImages(other.url, 'theirs');
      twin = await servers.own(startTwinport({ role: 'push', storage, env: redis }));
      ours = await pushVariedImages(twin.url, 'ours');
      await pushSha512(twin.url, 'ours/sha512');
    });
    afterAll(() => servers.stopAll());

    const statusAt = async (url: string, path: string, method = 'GET'): Promise<number> => {
      const response = await fetch(`${url}/v2/${path}`, { method, headers: { accept: OCI } });
      await response.arrayBuffer();
      return response.status;
    };
    const referrersOf = async (name: string, digest: string): Promise<string[]> => {
      const response = await fetch(`${twin.url}/v2/${name}/referrers/${digest}`);
      const { manifests } = (await response.json()) as { manifests: { digest: string }[] };
      return manifests.map((manifest) => manifest.digest).sort();
    };

    test('distribution serves all that Twinport wrote, byte for byte, by tag and by digest, sha512 too', async () => {
      const here = await contentsOf(twin.url, 'ours', ours.untagged);
      expect(Object.values(here).filter((answer) => /^[^2]\d\d\b/.test(answer))).toEqual([]);
      expect(here['ours/many tags']?.split(' ')).toHaveLength(MANY_TAGS);
      expect(here['ours/sha512 tags']).toBe('1 named');
      expect(await contentsOf(other.url, 'ours', ours.untagged)).toEqual(here);
      expect(await catalogOf(other.url)).toEqual(await catalogOf(twin.url));
    });

    test('Twinport serves all that distribution wrote, without any step between', async () => {
      const there = await contentsOf(other.url, 'theirs', theirs.untagged);
      expect(Object.values(there).filter((answer) => /^[^2]\d\d\b/.test(answer))).toEqual([]);
      expect(await contentsOf(twin.url, 'theirs', theirs.untagged)).toEqual(there);

      const page = await fetch(`${twin.url}/v2/theirs/many/tags/list?n=40&last=tag-10`);
      const { tags } = (await page.json()) as { tags: string[] };
      expect(tags).toHaveLength(40);
      expect(page.headers.get('link')).toMatch(/rel="next"/);
      const { bytes } = await pullImage(twin.url, 'theirs/oci', '1');
      const [, layer] = (JSON.parse(bytes.toString()) as { layers: { digest: string }[] }).layers;
      const blob = `${twin.url}/v2/theirs/oci/blobs/${layer?.digest ?? ''}`;
      const whole = Buffer.from(await (await fetch(blob)).arrayBuffer());
      const part = await fetch(blob, { headers: { range: 'bytes=1000-1999' } });
      expect(part.status).toBe(206);
      expect(Buffer.from(await part.arrayBuffer())).toEqual(whole.subarray(1000, 2000));
    });

    test('what distribution took refers to its subject after `twinport index rebuild`, beside the running service', async () => {
      const { subject, referrers } = theirs;
      expect(await referrersOf('theirs/signed', subject.digest)).toEqual([]);
      const first = await twinport('index rebuild', storage, redis);
      expect(first).toMatchObject({ code: 0, stderr: '' });
      expect(first.stdout).toMatch(/referrers +4, 2 added, 0 removed/);
      expect(first.stdout).toMatch(redis.REDIS_URL === undefined ? /Redis +none/ : /begins anew/);
      const digests = referrers.map(({ digest }) => digest).sort();
      expect(await referrersOf('theirs/signed', subject.digest)).toEqual(digests);
      expect(await referrersOf('ours/signed', ours.subject.digest)).toHaveLength(2);

      const [gone = '', kept] = digests;
      const path = `theirs/signed/manifests/${gone}`;
      expect(await statusAt(other.url, path, 'DELETE')).toBe(202);
      const second = await twinport('index rebuild', storage, redis);
      expect(second.stdout).toMatch(/referrers +3, 0 added, 1 removed/);
      expect(await referrersOf('theirs/signed', subject.digest)).toEqual([kept]);
      const third = await twinport('index rebuild', storage, redis);
      expect(third.stdout).toMatch(/referrers +3, 0 added, 0 removed/);
    });

    test('what either deletes is gone for the other, and stays gone until somebody pushes it again', async () => {
      const image = makeImage();
      const digest = image.manifest.digest;
      const sides = [
        { writer: twin.url, deleter: other.url, name: 'both/first' },
        { writer: other.url, deleter: twin.url, name: 'both/second' },
      ];
      for (const { writer, deleter, name } of sides) {
        await pushImage(writer, name, 'kept', image);
        for (const tag of ['a', 'b']) await pushManifest(writer, name, tag, image.manifest);
        await pushImage(writer, name, 'other', makeImage());

        expect(await statusAt(deleter, `${name}/manifests/a`, 'DELETE')).toBe(202);
        for (const url of [twin.url, other.url]) {
          expect(await tagsOf(url, name)).toEqual(['b', 'kept', 'other']);
          expect(await statusAt(url, `${name}/manifests/a`)).toBe(404);
        }
        expect(await statusAt(deleter, `${name}/manifests/${digest}`, 'DELETE')).toBe(202);
        for (const url of [twin.url, other.url]) {
          expect(await tagsOf(url, name)).toEqual(['other']);
          for (const reference of ['kept', 'b', digest]) {
            expect(await statusAt(url, `${name}/manifests/${reference}`)).toBe(404);
          }
          await pullImage(url, name, 'other');
        }
        await pushImage(deleter, name, 'again', image);
        for (const url of [twin.url, other.url]) {
          expect(await tagsOf(url, name)).toEqual(['again', 'other']);
          expect((await pullImage(url, name, 'again')).digest).toBe(digest);
        }
        const blob = `${name}/blobs/${image.blobs[0]!.digest}`;
        expect(await statusAt(deleter, blob, 'DELETE')).toBe(202);
        for (const url of [twin.url, other.url]) expect(await statusAt(url, blob)).toBe(404);
        await pushImage(writer, name, 'again', image);
        for (const url of [twin.url, other.url]) await pullImage(url, name, 'again');
      }
    });

    test('a tag moved back and forth names what was pushed last, for both', async () => {
      for (const url of [twin.url, other.url, twin.url, other.url]) {
        const image = makeImage();
        await pushImage(url, 'both/moved', 'latest', image);
        for (const reader of [twin.url, other.url]) {
          const pulled = await pullImage(reader, 'both/moved', 'latest');
          expect(pulled.digest).toBe(image.manifest.digest);
        }
      }
    });

    test('an upload that distribution left half done is no repository, can be begun again, and is reaped in time', async () => {
      const opened = await fetch(`${other.url}/v2/half/done/blobs/uploads/`, { method: 'POST' });
      const sent = await fetch(locationOf(opened), {
        method: 'PATCH',
        headers: { 'content-type': 'application/octet-stream' },
        body: new Uint8Array(6_000_000),
      });
      expect(sent.status).toBe(202);
      expect(await catalogOf(twin.url)).not.toContain('half/done');
      const image = makeImage();
      await pushImage(twin.url, 'half/done', '1', image);
      const before = new Date();

      const reaping = { ...redis, UPLOAD_TTL_SECONDS: '1' };
      const reaper = await startTwinport({ role: 'push', storage, env: reaping });
      try {
        await waitFor(
          async () => {
            const left = await auditTestStore(storage, { uploadsBefore: before });
            return !left.some((violation) => violation.includes('upload session'));
          },
          { what: 'the upload session to be reaped' },
        );
      } finally {
        await reaper.stop();
      }
      for (const url of [twin.url, other.url]) await pullImage(url, 'half/done', '1');
    });

    test('what both wrote holds every invariant of the store', async () => {
      expect(await auditTestStore(storage)).toEqual([]);
    });
  });
});

/** A blob and a manifest by their sha512, with a tag on that digest; the same manifest under its sha256 as well. */
async function pushSha512(url: string, name: string): Promise<void> {
  const sha512 = (bytes: Buffer): string =>
    `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
  const put = async (path: string, method: string, type: string, bytes: Buffer): Promise<void> => {
    const response = await fetch(`${url}/v2/${name}/${path}`, {
      method,
      headers: { 'content-type': type },
      body: new Uint8Array(bytes),
    });
    expect(response.status).toBe(201);
  };
  const config = Buffer.from('{"of":"sha512"}');
  const blob = { mediaType: 'application/json', digest: sha512(config), size: config.length };
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI, config: blob, layers: [] }),
  );
  await put(`blobs/uploads/?digest=${blob.digest}`, 'POST', 'application/octet-stream', config);
  await put(`manifests/${sha512(manifest)}?tag=named`, 'PUT', OCI, manifest);
  await put('manifests/1', 'PUT', OCI, manifest);
}
