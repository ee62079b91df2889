import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { copyStorage } from '../support/copy-storage.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { collectGarbage, startDistribution } from '../support/distribution.ts';
import { digestOf, type FixtureManifest, makeImage, MEDIA_TYPES } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pullManifest, pushBlob, pushImage, pushManifest } from '../support/registry-client.ts';
import { contentsOf, tagsOf } from '../support/registry-contents.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { startMinio } from '../support/start-s3.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { ToolName } from '../support/tools.ts';
import { twinport } from '../support/twinport-command.ts';
import { pushVariedImages, type VariedImages } from '../support/varied-images.ts';

const STORES: readonly { where: string; tools: readonly ToolName[] }[] = [
  { where: 'a folder', tools: ['registry'] },
  { where: 'a bucket', tools: ['registry', 'minio'] },
];

const { oci, docker } = MEDIA_TYPES;
const UNKNOWN_TYPE = 'application/vnd.example.thing+json';
const ARTIFACT_TYPE = 'application/vnd.oci.artifact.manifest.v1+json';
const EXTRA = { digest: digestOf(Buffer.from('extra')), bytes: Buffer.from('extra') };
const config = (): object => ({
  mediaType: 'application/octet-stream',
  digest: EXTRA.digest,
  size: EXTRA.bytes.length,
});

function manifestOf(mediaType: string, body: object): FixtureManifest {
  const bytes = Buffer.from(JSON.stringify(body));
  return { mediaType, bytes, digest: digestOf(bytes) };
}

/** What Twinport takes and distribution fails at, with what each of its programs says. */
const REFUSED = [
  {
    name: 'of an unknown media type',
    manifest: manifestOf(UNKNOWN_TYPE, { schemaVersion: 2, mediaType: UNKNOWN_TYPE }),
    warning: /media type application\/vnd\.example\.thing\+json is none that distribution knows/,
    collector: /unrecognized manifest content type/,
  },
  {
    name: 'that is an artifact manifest',
    manifest: manifestOf(ARTIFACT_TYPE, { mediaType: ARTIFACT_TYPE, blobs: [config()] }),
    warning: /its schemaVersion is missing/,
    collector: /unrecognized manifest schema version 0/,
  },
  {
    name: 'with a field of another type than Go expects',
    manifest: manifestOf(oci.index, {
      schemaVersion: 2,
      mediaType: oci.index,
      manifests: [{ ...config(), platform: 'linux/amd64' }],
    }),
    warning: /its manifests\.0\.platform is not of the type/,
    collector: /cannot unmarshal string/,
  },
  {
    name: 'with such a field and without its media type',
    manifest: manifestOf(oci.index, {
      schemaVersion: 2,
      manifests: [{ ...config(), platform: 'linux/amd64' }],
    }),
    warning: /its manifests\.0\.platform is not of the type/,
    collector: /panic/,
  },
] as const;

describe.each(STORES)('the way back to distribution from $where', ({ where, tools }) => {
  describeWithTools(tools, 'is checked', () => {
    const servers = new OwnedServers();
    let storage: Parameters<typeof copyStorage>[0];
    let push: TwinportProcess;
    let images: VariedImages;

    beforeAll(async () => {
      storage =
        where === 'a folder'
          ? { dataDir: makeTempFolder('export') }
          : await servers.own(startMinio({ own: true }));
      const env = { MANIFEST_REFERENCES: 'allow-missing' };
      push = await servers.own(startTwinport({ role: 'push', storage, env }));
      images = await pushVariedImages(push.url, 'ours');
      await pushBlob(push.url, 'bad/app', EXTRA);
      await pushImage(push.url, 'bad/app', 'good', makeImage());
    });
    afterAll(() => servers.stopAll());

    const remove = async (name: string, reference: string): Promise<void> => {
      const url = `${push.url}/v2/${name}/manifests/${reference}`;
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(202);
    };

    test('and where nothing is found, its garbage collector keeps all that is served and takes the rest', async () => {
      const deleted = makeImage();
      await pushImage(push.url, 'ours/oci', 'deleted', deleted);
      await remove('ours/oci', deleted.manifest.digest);

      const { code, stdout } = await twinport('export-check', storage);
      expect(stdout).toMatch(/distribution v3 serves all of it\.$/m);
      expect(stdout).toContain('manifests with a subject: 2');
      expect(code).toBe(0);

      const before = await contentsOf(push.url, 'ours', images.untagged);
      const copy = await copyStorage(storage);
      const collected = await collectGarbage(copy);
      expect(collected.code).toBe(0);
      for (const { digest } of [deleted.manifest, ...deleted.blobs]) {
        expect(collected.stdout).toContain(`blob eligible for deletion: ${digest}`);
      }
      const started = [
        await servers.own(startDistribution(copy)),
        await servers.own(startTwinport({ role: 'push', storage: copy })),
      ];
      for (const { url } of started) {
        expect(await contentsOf(url, 'ours', images.untagged)).toEqual(before);
      }
    });

    test.each(REFUSED)(
      'and its garbage collector fails where a manifest $name was found, and not after it is deleted',
      async ({ manifest, warning, collector }) => {
        await pushManifest(push.url, 'bad/app', 'tag', manifest);
        const checked = await twinport('export-check', storage);
        expect(checked.code).toBe(1);
        expect(checked.stdout).toContain(`  bad/app@${manifest.digest} (tag): `);
        expect(checked.stdout).toMatch(warning);
        expect(checked.stdout).toMatch(/: one problem\.$/m);
        const failed = await collectGarbage(storage, '--dry-run');
        expect(failed.code).not.toBe(0);
        expect(failed.stderr).toMatch(collector);

        await remove('bad/app', manifest.digest);
        expect((await collectGarbage(storage, '--dry-run')).code).toBe(0);
      },
    );

    test('and a repository without a blob of its own is found where its garbage collector fails at it', async () => {
      const empty = manifestOf(oci.index, {
        schemaVersion: 2,
        mediaType: oci.index,
        manifests: [],
      });
      await pushManifest(push.url, 'bad/empty', '1', empty);
      const checked = await twinport('export-check', storage);
      const collected = await collectGarbage(storage, '--dry-run');
      if (where === 'a folder') {
        expect(checked.stdout).toContain('bad/empty: it has no folder _layers');
        expect(collected.stderr).toMatch(/bad\/empty\/_layers/);
      }
      expect([checked.code, collected.code]).toEqual(where === 'a folder' ? [1, 1] : [0, 0]);
      await remove('bad/empty', empty.digest);
    });

    test('and what its garbage collector would take is found, and what it would serve under another type', async () => {
      const losing = manifestOf(oci.manifest, {
        schemaVersion: 2,
        mediaType: oci.manifest,
        config: { ...config(), digest: digestOf(Buffer.from('elsewhere')) },
        blobs: [config()],
      });
      await pushManifest(push.url, 'bad/app', 'losing', losing);
      const untyped = manifestOf(docker.manifest, {
        schemaVersion: 2,
        config: { ...config(), digest: digestOf(Buffer.from('elsewhere')) },
        layers: [],
      });
      await pushManifest(push.url, 'bad/app', 'untyped', untyped);

      const { code, stdout } = await twinport('export-check', storage);
      expect(code).toBe(1);
      expect(stdout).toContain(
        `bad/app@${losing.digest} (losing): the garbage collector does not keep ${EXTRA.digest} for it`,
      );
      expect(stdout).toContain(
        `bad/app@${untyped.digest} (untyped): it is served as ${oci.manifest}, not as ${docker.manifest}`,
      );
      const collected = await collectGarbage(storage, '--dry-run');
      expect(collected.code).toBe(0);
      expect(collected.stdout).toContain(`blob eligible for deletion: ${EXTRA.digest}`);
      const other = await servers.own(startDistribution(storage));
      const served = await pullManifest(other.url, 'bad/app', 'untyped');
      expect(served.mediaType).toBe(oci.manifest);
      for (const { digest } of [losing, untyped]) await remove('bad/app', digest);
    });

    test('and tags that it would leave out of its lists are counted', async () => {
      const image = makeImage();
      await pushImage(push.url, 'ours/lists', '1', image);
      for (const tag of ['1.2', '10', '2', '20-a']) {
        await pushManifest(push.url, 'ours/lists', tag, image.manifest);
      }
      const { code, stdout } = await twinport('export-check', storage);
      expect(code).toBe(0);
      const other = await servers.own(startDistribution(storage));
      const all = ['1', '1.2', '10', '2', '20-a'];
      if (where === 'a folder') {
        expect(stdout).not.toContain('leaves out');
        expect(await tagsOf(other.url, 'ours/lists')).toEqual(all);
      } else {
        expect(stdout).toContain('2 tags in its lists');
        expect(await tagsOf(other.url, 'ours/lists')).toEqual(['1', '1.2', '2']);
      }
      for (const tag of all) {
        expect((await pullManifest(other.url, 'ours/lists', tag)).digest).toBe(
          image.manifest.digest,
        );
      }
    });
  });
});
