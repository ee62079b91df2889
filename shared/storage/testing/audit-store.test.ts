import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../lifecycle/clock.ts';
import { digestOf, type Digest } from '../../oci/digest.ts';
import { MEDIA_TYPES } from '../../oci/media-types.ts';
import { parseRepositoryName, parseTag } from '../../oci/reference.ts';
import { FilesystemBlobStore } from '../filesystem/filesystem-blob-store.ts';
import { FilesystemRecordStore } from '../filesystem/filesystem-record-store.ts';
import { FilesystemUploadStore } from '../filesystem/filesystem-upload-store.ts';
import {
  blobKey,
  layerLinkKey,
  originKey,
  revisionLinkKey,
  tagCurrentKey,
  tagHistoryKey,
} from '../object-keys.ts';
import { auditStore } from './audit-store.ts';
import { unending } from './contract-support.ts';

const repo = parseRepositoryName('team/nested/app')!;
const tag = parseTag('v1')!;

describe('auditStore', () => {
  let root: string;
  let records: FilesystemRecordStore;
  let blobs: FilesystemBlobStore;
  let config: Digest;
  let layer: Digest;
  let image: Digest;
  let index: Digest;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'twinport-audit-'));
    records = new FilesystemRecordStore(root);
    blobs = new FilesystemBlobStore(root);
    config = await pushBlob(Buffer.from('{"config":1}'));
    layer = await pushBlob(Buffer.from('layer bytes'));
    image = await pushManifest({
      config: { mediaType: 'x/config', digest: config, size: 12 },
      layers: [
        { mediaType: 'x/layer', digest: layer, size: 11 },
        {
          mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
          digest: digestOf(Buffer.from('foreign')),
          size: 7,
        },
      ],
      subject: { mediaType: 'x/any', digest: digestOf(Buffer.from('nobody')), size: 6 },
    });
    const { size } = (await blobs.stat(image, unending))!;
    index = await pushManifest({
      manifests: [{ mediaType: MEDIA_TYPES.ociManifest, digest: image, size }],
    });
    await link(tagHistoryKey(repo, tag, index), index);
    await link(tagCurrentKey(repo, tag), index);
  });
  afterEach(async () => {
    await rm(root, { recursive: true });
  });

  const link = (key: string, content: string): Promise<void> =>
    records.put(key, Buffer.from(content), unending);
  const pushBlob = async (bytes: Buffer): Promise<Digest> => {
    const digest = digestOf(bytes);
    await blobs.put(digest, bytes, undefined, unending);
    await link(layerLinkKey(repo, digest), digest);
    return digest;
  };
  const pushManifest = async (manifest: object): Promise<Digest> => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...manifest }));
    const digest = digestOf(bytes);
    await blobs.put(digest, bytes, undefined, unending);
    await link(revisionLinkKey(repo, digest), digest);
    return digest;
  };
  const audit = (): Promise<string[]> => auditStore(records, blobs);

  test('finds nothing in a store that is right, nor in an empty one', async () => {
    expect(await audit()).toEqual([]);
    expect(await auditStore(new FilesystemRecordStore(join(root, 'none')), blobs)).toEqual([]);
  });

  test('finds a layer that is no member of the repository (I2)', async () => {
    await records.delete(layerLinkKey(repo, layer), unending);
    expect(await audit()).toEqual([
      `the manifest ${image} of ${repo} names ${layer}, which is no member of ${repo}.`,
    ]);
    expect(await auditStore(records, blobs, { allowsMissingReferences: true })).toEqual([]);
    await link(originKey(repo), '{}');
    expect(await audit()).toEqual([]);
  });

  test('finds bytes that are gone though links name them (I2)', async () => {
    await blobs.delete(layer, unending);
    expect(await audit()).toEqual([
      `${repo} has the blob ${layer} as a member, but its bytes are not stored.`,
      `the manifest ${image} of ${repo} names ${layer}, whose bytes are not stored.`,
    ]);
  });

  test('finds the missing child of an index (I2)', async () => {
    await records.delete(revisionLinkKey(repo, image), unending);
    expect(await audit()).toEqual([
      `the manifest ${index} of ${repo} names ${image}, which is no member of ${repo}.`,
    ]);
  });

  test('finds a tag that names a manifest which is not there (I2)', async () => {
    await records.delete(revisionLinkKey(repo, index), unending);
    expect(await audit()).toEqual([
      `${repo}:${tag} names the manifest ${index}, which ${repo} does not have.`,
    ]);
    await link(originKey(repo), '{}');
    expect(await audit()).toHaveLength(1);
    await records.delete(tagCurrentKey(repo, tag), unending);
    expect(await audit()).toEqual([]);
  });

  test('finds a descriptor of another size than the bytes have', async () => {
    const wrong = await pushManifest({
      layers: [{ mediaType: 'x/layer', digest: layer, size: 12 }],
    });
    expect(await audit()).toEqual([
      `the manifest ${wrong} of ${repo} names ${layer} with 12 bytes, but it has 11.`,
    ]);
  });

  test('finds bytes that are not what their key says, in no repository too (I3)', async () => {
    const stray = digestOf(Buffer.from('stray'), 'sha512');
    await records.put(blobKey(stray), Buffer.from('strax'), unending);
    await records.put(blobKey(layer), Buffer.from('layer byteS'), unending);
    const found = await auditStore(records, blobs, { repositories: [] });
    expect(found).toHaveLength(2);
    expect(found.join()).toContain(`the blob ${stray} holds bytes`);
    expect(found.join()).toContain(`the blob ${layer} holds bytes`);
  });

  test('finds links that are none', async () => {
    await link(layerLinkKey(repo, layer), 'sha256:abc');
    await link(revisionLinkKey(repo, image), index);
    await link(tagCurrentKey(repo, tag), 'latest');
    const found = (await audit()).join('\n');
    expect(found).toContain(`${layerLinkKey(repo, layer)} holds "sha256:abc", which is no digest`);
    expect(found).toContain(`${revisionLinkKey(repo, image)} holds another digest`);
    expect(found).toContain(`${repo}:${tag} holds "latest", no digest`);
  });

  test('finds sessions that the reaper should have taken (I7)', async () => {
    const uploads = new FilesystemUploadStore(root, systemClock);
    const { id } = await uploads.create(repo, undefined, unending);
    const uploadsBefore = new Date(Date.now() + 60_000);
    expect(await auditStore(records, blobs, { uploadsBefore: new Date(0) })).toEqual([]);
    const found = await auditStore(records, blobs, { uploadsBefore });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`${repo} still has the upload session ${id}`);
    await uploads.reap(repo, uploadsBefore, unending);
    expect(await auditStore(records, blobs, { uploadsBefore })).toEqual([]);
  });

  test('looks only at the repositories it is asked about', async () => {
    await records.delete(layerLinkKey(repo, layer), unending);
    const other = parseRepositoryName('other')!;
    expect(await auditStore(records, blobs, { repositories: [other] })).toEqual([]);
    expect(await auditStore(records, blobs, { repositories: [repo] })).toHaveLength(1);
  });
});
