import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { ReferrerIndex } from '../index/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { MEDIA_TYPES } from '../oci/media-types.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { blobKey, referrerKey } from '../storage/object-keys.ts';
import { ManifestStore } from './manifest-store.ts';
import { rebuildReferrers, type ReferrerRebuild } from './rebuild-referrers.ts';
import { createTempStore, type TempStore } from './testing/temp-store.ts';

const NAME = parseRepositoryName('team/app')!;
const unending = new AbortController().signal;
const SUBJECT = digestOf(Buffer.from('the subject'));

function referrer(label: string) {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      artifactType: 'application/vnd.example',
      config: { mediaType: 'a/b', digest: digestOf(Buffer.from('{}')), size: 2 },
      layers: [],
      subject: { mediaType: MEDIA_TYPES.ociManifest, digest: SUBJECT, size: 11 },
      annotations: { label },
    }),
  );
  return { bytes, digest: digestOf(bytes), parsed: parseManifest(bytes, undefined) };
}

describe('rebuilding the referrers of a repository', () => {
  let store: TempStore;
  let manifests: ManifestStore;

  beforeEach(async () => {
    store = await createTempStore();
    manifests = new ManifestStore(store.blobs, store.index);
  });
  afterEach(() => store.remove());

  const rebuild = (referrers: ReferrerIndex = store.index.referrers): Promise<ReferrerRebuild> => {
    const { members, referrers: stored } = store.index;
    const dependencies = { records: store.records, manifests, members, stored, referrers };
    return rebuildReferrers(NAME, dependencies, unending);
  };
  const records = async (): Promise<Descriptor[]> => {
    const found: Descriptor[] = [];
    const batches = store.index.referrers.list(NAME, SUBJECT, undefined, unending);
    for await (const batch of batches) found.push(...batch);
    return found;
  };
  const listed = async (): Promise<Digest[]> => (await records()).map(({ digest }) => digest);
  const put = (manifest: ReturnType<typeof referrer>): Promise<void> =>
    manifests.put(NAME, manifest, [], unending);

  test('writes what a push would have written, and nothing the second time', async () => {
    const [one, two] = [referrer('one'), referrer('two')];
    await put(one);
    const written = await records();
    await put(two);
    for (const { digest } of [one, two]) {
      await store.index.referrers.remove(NAME, SUBJECT, digest, unending);
    }
    expect(await rebuild()).toMatchObject({ manifests: 2, referrers: 2, added: 2, removed: 0 });
    const again = await records();
    expect(again).toContainEqual(written[0]);
    expect(again).toHaveLength(2);
    expect(await rebuild()).toMatchObject({ referrers: 2, added: 0, removed: 0, unreadable: [] });
  });

  test('removes the record of a manifest that is not in the repository any more', async () => {
    const [gone, kept] = [referrer('gone'), referrer('kept')];
    await put(gone);
    await put(kept);
    await store.index.members.remove(NAME, 'manifest', gone.digest, unending);
    expect(await rebuild()).toMatchObject({ referrers: 1, added: 0, removed: 1 });
    expect(await listed()).toEqual([kept.digest]);
  });

  test('repairs a record that cannot be read or says something else', async () => {
    const one = referrer('one');
    await put(one);
    const right = await records();
    const key = referrerKey(NAME, SUBJECT, one.digest);
    const wrong = { schemaVersion: 1, descriptor: { ...right[0], size: 5 } };
    for (const content of ['{', JSON.stringify(wrong)]) {
      await store.records.put(key, Buffer.from(content), unending);
      expect(await rebuild()).toMatchObject({ added: 1 });
      expect(await records()).toEqual(right);
    }
  });

  test('goes on past manifests that are damaged or missing, and names them', async () => {
    const [damaged, missing, whole] = [referrer('damaged'), referrer('missing'), referrer('whole')];
    for (const manifest of [damaged, missing, whole]) await put(manifest);
    await store.records.put(blobKey(damaged.digest), Buffer.from('rot'), unending);
    await store.records.delete(blobKey(missing.digest), unending);
    manifests = new ManifestStore(store.blobs, store.index);
    const { unreadable, referrers, removed } = await rebuild();
    expect({ referrers, removed }).toEqual({ referrers: 1, removed: 0 });
    expect(unreadable).toHaveLength(2);
    expect(unreadable.join()).toContain(`team/app@${damaged.digest}`);
    expect(unreadable.join()).toContain(`team/app@${missing.digest}`);
  });

  test('loses no referrer that is pushed while its old record is being removed', async () => {
    const late = referrer('late');
    await put(late);
    await store.index.members.remove(NAME, 'manifest', late.digest, unending);
    const { referrers } = store.index;
    const pushedBefore: ReferrerIndex = {
      list: (...args) => referrers.list(...args),
      add: (...args) => referrers.add(...args),
      remove: async (...args) => {
        await put(late);
        await referrers.remove(...args);
      },
    };
    await rebuild(pushedBefore);
    expect(await listed()).toEqual([late.digest]);
  });

  test('leaves no record of a manifest that is deleted while its record is being written', async () => {
    const deleted = referrer('deleted');
    await put(deleted);
    const { referrers } = store.index;
    await referrers.remove(NAME, SUBJECT, deleted.digest, unending);
    const deletedBefore: ReferrerIndex = {
      list: (...args) => referrers.list(...args),
      remove: (...args) => referrers.remove(...args),
      add: async (...args) => {
        await manifests.delete(NAME, deleted.digest, unending);
        await referrers.add(...args);
      },
    };
    await rebuild(deletedBefore);
    expect(await listed()).toEqual([]);
  });
});
