import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import type { RegistryIndex } from '../index/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { MEDIA_TYPES } from '../oci/media-types.ts';
import { parseRepositoryName, parseTag, type Tag } from '../oci/reference.ts';
import { LocalContent } from './local-content.ts';
import { ManifestStore, type VerifiedManifest } from './manifest-store.ts';
import { createTempStore, type TempStore } from './testing/temp-store.ts';

const signal = new AbortController().signal;
const team = parseRepositoryName('team/app')!;
const other = parseRepositoryName('team/other')!;
const tag = (name: string): Tag => parseTag(name)!;
const config: Descriptor = {
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: digestOf(Buffer.from('{}')),
  size: 2,
};

function manifest(fields: Record<string, unknown> = {}, contentType?: string): VerifiedManifest {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [], ...fields }));
  return {
    bytes,
    digest: digestOf(bytes),
    parsed: parseManifest(bytes, contentType ?? MEDIA_TYPES.ociManifest),
  };
}

let store: TempStore;
beforeEach(async () => {
  store = await createTempStore();
});
afterEach(() => store.remove());

/** A manifest store and the content over it, on an index that may be tampered with. */
function open(index: RegistryIndex = store.index): {
  manifests: ManifestStore;
  content: LocalContent;
} {
  const manifests = new ManifestStore(store.blobs, index);
  return { manifests, content: new LocalContent({ blobs: store.blobs, manifests, index }) };
}

async function referrersIn(content: LocalContent, subject: Digest): Promise<readonly Descriptor[]> {
  const all = { artifactTypes: [], after: undefined, size: Infinity };
  return (await content.referrers(team, subject, all, signal)).descriptors;
}

describe('ManifestStore', () => {
  test('gives back the bytes, the digest and the media type of what was pushed, from disk too', async () => {
    const pushed = manifest();
    await open().manifests.put(team, pushed, [tag('v1')], signal);
    for (const reference of [
      { kind: 'tag', tag: tag('v1') },
      { kind: 'digest', digest: pushed.digest },
    ] as const) {
      expect(await open().content.manifest(team, reference, signal)).toEqual({
        digest: pushed.digest,
        mediaType: MEDIA_TYPES.ociManifest,
        size: pushed.bytes.length,
        bytes: pushed.bytes,
      });
    }
  });

  test('remembers a media type that the bytes do not tell', async () => {
    const pushed = manifest({}, 'application/vnd.docker.distribution.manifest.v2+json');
    await open().manifests.put(team, pushed, [], signal);
    const found = await open().content.manifest(
      team,
      { kind: 'digest', digest: pushed.digest },
      signal,
    );
    expect(found?.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
  });

  test('does not give a manifest through a repository that it does not belong to', async () => {
    const pushed = manifest();
    const { manifests, content } = open();
    await manifests.put(team, pushed, [tag('v1')], signal);
    expect(
      await content.manifest(other, { kind: 'digest', digest: pushed.digest }, signal),
    ).toBeUndefined();
    expect(await content.manifest(other, { kind: 'tag', tag: tag('v1') }, signal)).toBeUndefined();
  });

  test('removes every tag of a deleted manifest and keeps the others', async () => {
    const [first, second] = [manifest(), manifest({ annotations: { n: '2' } })];
    const { manifests, content } = open();
    await manifests.put(team, first, [tag('a'), tag('b')], signal);
    await manifests.put(team, second, [tag('c')], signal);
    expect(await manifests.delete(team, first.digest, signal)).toBe(true);
    expect(await content.tags(team, signal)).toEqual(['c']);
    expect(
      await content.manifest(team, { kind: 'digest', digest: first.digest }, signal),
    ).toBeUndefined();
    expect(await manifests.delete(team, first.digest, signal)).toBe(false);
  });

  test('lists a referrer under its subject until the referrer is deleted', async () => {
    const subject = manifest();
    const referrer = manifest({
      artifactType: 'application/example',
      annotations: { kind: 'signature' },
      subject: { mediaType: MEDIA_TYPES.ociManifest, digest: subject.digest, size: 7 },
    });
    const { manifests, content } = open();
    await manifests.put(team, referrer, [], signal);
    expect(await referrersIn(content, subject.digest)).toEqual([
      {
        mediaType: MEDIA_TYPES.ociManifest,
        digest: referrer.digest,
        size: referrer.bytes.length,
        artifactType: 'application/example',
        annotations: { kind: 'signature' },
      },
    ]);
    await manifests.delete(team, referrer.digest, signal);
    expect(await referrersIn(content, subject.digest)).toEqual([]);
  });

  test('shows the referrers that an older client listed under the fallback tag', async () => {
    const subject = digestOf(Buffer.from('subject'));
    const listed = {
      mediaType: MEDIA_TYPES.ociManifest,
      digest: digestOf(Buffer.from('r')),
      size: 1,
    };
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [listed] }),
    );
    const index = {
      bytes,
      digest: digestOf(bytes),
      parsed: parseManifest(bytes, MEDIA_TYPES.ociIndex),
    };
    const { manifests, content } = open();
    await manifests.put(team, index, [tag(subject.replace(':', '-'))], signal);
    expect(await referrersIn(content, subject)).toMatchObject([listed]);
  });

  test('never leaves a tag without its manifest when a delete overtakes the push of the same manifest', async () => {
    const pushed = manifest();
    const { manifests: deleter } = open();
    await deleter.put(team, pushed, [], signal);
    let isDeleted = false;
    const tags: RegistryIndex['tags'] = {
      get: (...call) => store.index.tags.get(...call),
      delete: (...call) => store.index.tags.delete(...call),
      list: (...call) => store.index.tags.list(...call),
      set: async (...call) => {
        // The delete runs between the revision and the tag of the push.
        if (!isDeleted) {
          isDeleted = true;
          await deleter.delete(team, pushed.digest, signal);
        }
        await store.index.tags.set(...call);
      },
    };
    const { manifests, content } = open({ ...store.index, tags });
    await manifests.put(team, pushed, [tag('v1')], signal);
    expect(
      await content.manifest(team, { kind: 'digest', digest: pushed.digest }, signal),
    ).toBeDefined();
    expect(await content.manifest(team, { kind: 'tag', tag: tag('v1') }, signal)).toBeDefined();
  });

  test('removes a tag that a push wrote while the delete was under way', async () => {
    const pushed = manifest();
    const { manifests: pusher } = open();
    await pusher.put(team, pushed, [tag('old')], signal);
    let isPushed = false;
    const tags: RegistryIndex['tags'] = {
      get: (...call) => store.index.tags.get(...call),
      set: (...call) => store.index.tags.set(...call),
      list: (...call) => store.index.tags.list(...call),
      delete: async (...call) => {
        const isThere = await store.index.tags.delete(...call);
        // The push runs between the first look for tags and the removal of the revision.
        if (!isPushed) {
          isPushed = true;
          await pusher.put(team, pushed, [tag('new')], signal);
        }
        return isThere;
      },
    };
    await open({ ...store.index, tags }).manifests.delete(team, pushed.digest, signal);
    const { content } = open();
    expect((await content.tags(team, signal)) ?? []).not.toContain('new');
    expect(await content.manifest(team, { kind: 'tag', tag: tag('new') }, signal)).toBeUndefined();
  });

  test('removes many manifests with one look through the tags before and one after', async () => {
    const all = Array.from({ length: 12 }, (_, number) =>
      manifest({ annotations: { n: String(number) } }),
    );
    const kept = manifest();
    const foreign = manifest({ annotations: { n: 'foreign' } });
    const { manifests: pusher, content } = open();
    for (const [number, one] of all.entries()) {
      await pusher.put(team, one, [tag(`a${number}`), tag(`b${number}`)], signal);
    }
    await pusher.put(team, kept, [tag('kept')], signal);
    await pusher.put(other, foreign, [], signal);
    let reads = 0;
    const tags: RegistryIndex['tags'] = {
      get: (...call) => {
        reads += 1;
        return store.index.tags.get(...call);
      },
      set: (...call) => store.index.tags.set(...call),
      list: (...call) => store.index.tags.list(...call),
      delete: (...call) => store.index.tags.delete(...call),
    };
    const { manifests } = open({ ...store.index, tags });
    const digests = [...all, foreign].map(({ digest }) => digest);
    expect(await manifests.deleteAll(team, digests, signal)).toBe(all.length);
    expect(await content.tags(team, signal)).toEqual(['kept']);
    // Each tag, those that go once more at their turn, and what is left.
    expect(reads).toBe(25 + 24 + 1);
    expect(await manifests.deleteAll(team, digests, signal)).toBe(0);
    const reference = { kind: 'digest', digest: foreign.digest } as const;
    expect(await content.manifest(other, reference, signal)).toBeDefined();
  });

  test('gives the media type of the last push of the same bytes', async () => {
    const docker = manifest({}, MEDIA_TYPES.dockerManifest);
    const oci = manifest({}, MEDIA_TYPES.ociManifest);
    const { manifests, content } = open();
    await manifests.put(team, docker, [], signal);
    await manifests.put(team, oci, [], signal);
    const found = await content.manifest(team, { kind: 'digest', digest: oci.digest }, signal);
    expect(found?.mediaType).toBe(MEDIA_TYPES.ociManifest);
  });

  test('deletes a manifest that only another registry accepted, with its tags', async () => {
    const bytes = Buffer.from('{"schemaVersion":1,"name":"old","tag":"v1"}');
    const digest = digestOf(bytes);
    await store.blobs.put(digest, bytes, bytes.length, signal);
    await store.index.members.add(team, 'manifest', digest, signal);
    await store.index.tags.set(team, tag('v1'), digest, signal);
    const { manifests, content } = open();
    expect(await manifests.delete(team, digest, signal)).toBe(true);
    expect(await content.manifest(team, { kind: 'digest', digest }, signal)).toBeUndefined();
    expect((await content.tags(team, signal)) ?? []).toEqual([]);
  });

  test('does not list a referrer whose manifest is gone', async () => {
    const subject = digestOf(Buffer.from('subject'));
    const ghost = {
      mediaType: MEDIA_TYPES.ociManifest,
      digest: digestOf(Buffer.from('r')),
      size: 1,
    };
    await store.index.referrers.add(team, subject, ghost, signal);
    expect(await referrersIn(open().content, subject)).toEqual([]);
  });

  test('does not take a tag that was moved to another manifest while the delete compared it', async () => {
    const [old, next] = [manifest(), manifest({ annotations: { n: '2' } })];
    const { manifests: pusher } = open();
    await pusher.put(team, old, [tag('v1')], signal);
    let moved: Promise<void> | undefined;
    const tags: RegistryIndex['tags'] = {
      get: async (...call) => {
        const named = await store.index.tags.get(...call);
        // The push begins between the last look and the removal: it must wait for the removal, or come before the look.
        if (moved) return named;
        moved = pusher.put(team, next, [tag('v1')], signal);
        return named;
      },
      set: (...call) => store.index.tags.set(...call),
      list: (...call) => store.index.tags.list(...call),
      delete: (...call) => store.index.tags.delete(...call),
    };
    await open({ ...store.index, tags }).manifests.delete(team, old.digest, signal);
    await moved;
    const found = await open().content.manifest(team, { kind: 'tag', tag: tag('v1') }, signal);
    expect(found?.digest).toBe(next.digest);
  });
});
