import { appendFile, mkdir, mkdtemp, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { type Clock, systemClock } from '../../lifecycle/clock.ts';
import { digestOf } from '../../oci/digest.ts';
import { parseRepositoryName, parseUploadId } from '../../oci/reference.ts';
import { DigestMismatchError, UploadOffsetError, UploadUnknownError } from '../errors.ts';
import { blobKey, uploadFolder } from '../object-keys.ts';
import { patternBytes, readAll, streamOf, unending } from '../testing/contract-support.ts';
import type { UploadSession } from '../upload-store.ts';
import { FilesystemBlobStore } from './filesystem-blob-store.ts';
import { FilesystemUploadStore } from './filesystem-upload-store.ts';

const repo = parseRepositoryName('team/app')!;
const bytes = patternBytes(200_000, 7);
const digest = digestOf(bytes);

describe('FilesystemUploadStore after a crash or an intruder', () => {
  let root: string;
  let store: FilesystemUploadStore;
  let blobs: FilesystemBlobStore;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'twinport-upload-'));
    store = new FilesystemUploadStore(root, systemClock);
    blobs = new FilesystemBlobStore(root);
  });
  afterEach(async () => {
    await rm(root, { recursive: true });
  });
  const folderOf = (session: UploadSession): string =>
    join(root, uploadFolder(session.repository, session.id));
  const begin = async (staged: Buffer): Promise<UploadSession> => {
    const session = await store.create(repo, undefined, unending);
    return staged.length > 0 ? store.append(session, 0, streamOf(staged), unending) : session;
  };
  const stored = async (): Promise<Buffer | undefined> => {
    const body = await blobs.open(digest, undefined, unending);
    return body && readAll(body.stream);
  };

  test('counts bytes that a dying append wrote without acknowledging them', async () => {
    const session = await begin(bytes.subarray(0, 1000));
    await appendFile(join(folderOf(session), 'data'), bytes.subarray(1000, 1500));
    const restarted = new FilesystemUploadStore(root, systemClock);
    const found = await restarted.find(repo, session.id, unending);
    expect(found?.offset).toBe(1500);
    await expect(
      restarted.append(session, 1000, streamOf(bytes.subarray(1000)), unending),
    ).rejects.toThrow(UploadOffsetError);
    const done = await restarted.append(found!, 1500, streamOf(bytes.subarray(1500)), unending);
    expect(await restarted.commit(done, digest, unending)).toEqual({ size: bytes.length });
    expect((await stored())?.equals(bytes)).toBe(true);
  });

  test('takes over what a process that died in the middle had claimed', async () => {
    const session = await begin(bytes.subarray(0, 5000));
    const folder = folderOf(session);
    await rename(join(folder, 'data'), join(folder, 'data.dead'));
    const found = await store.find(repo, session.id, unending);
    expect(found?.offset).toBe(5000);
    const done = await store.append(found!, 5000, streamOf(bytes.subarray(5000)), unending);
    await rename(join(folder, 'data'), join(folder, 'data.dead-too'));
    expect(await store.commit(done, digest, unending)).toEqual({ size: bytes.length });
    expect((await stored())?.equals(bytes)).toBe(true);
    expect(await readdir(folder)).toEqual(['committed.json']);
  });

  test('keeps a writer that was believed dead away from the blob it helped to make', async () => {
    const session = await begin(bytes);
    const folder = folderOf(session);
    await rename(join(folder, 'data'), join(folder, 'data.paused'));
    const paused = await open(join(folder, 'data.paused'), 'a');
    await store.commit(session, digest, unending);
    await paused.write(Buffer.from('bytes that come too late'));
    await paused.close();
    expect((await stored())?.equals(bytes)).toBe(true);
  });

  test('does not believe a digest record that is torn, of another length or of another file', async () => {
    const other = digestOf(patternBytes(bytes.length, 1));
    const record = (inode: number, offset: number): string =>
      JSON.stringify({ schemaVersion: 1, algorithm: 'sha256', offset, digest: other, inode });
    for (const content of ['{"schemaVersion":1,"al', '', record(1, bytes.length), 'null']) {
      const session = await begin(bytes);
      await writeFile(join(folderOf(session), 'progress.json'), content);
      expect(await store.commit(session, digest, unending)).toEqual({ size: bytes.length });
      expect((await stored())?.equals(bytes)).toBe(true);
    }
  });

  test('commits a session of one chunk elsewhere without reading its bytes again', async () => {
    const session = await begin(bytes);
    // Only who trusts the record can commit these bytes: they were changed behind its back.
    const data = await open(join(folderOf(session), 'data'), 'r+');
    await data.write(Buffer.from('changed'), 0, 7, 0);
    await data.close();
    const replica = new FilesystemUploadStore(root, systemClock);
    expect(await replica.commit(session, digest, unending)).toEqual({ size: bytes.length });
  });

  test('keeps its hash from chunk to chunk in one process', async () => {
    let session = await begin(bytes.subarray(0, 70_000));
    session = await store.append(session, 70_000, streamOf(bytes.subarray(70_000)), unending);
    const data = await open(join(folderOf(session), 'data'), 'r+');
    await data.write(Buffer.from('changed'), 0, 7, 0);
    await data.close();
    expect(await store.commit(session, digest, unending)).toEqual({ size: bytes.length });
  });

  test('goes on with an upload that the CNCF registry had begun', async () => {
    const id = parseUploadId('0b5c7ed0-42a7-4f31-8c6d-0a4f3a4c5e6d')!;
    const folder = join(root, uploadFolder(repo, id));
    await mkdir(join(folder, 'hashstates', 'sha256'), { recursive: true });
    await writeFile(join(folder, 'hashstates', 'sha256', '0'), 'opaque');
    await writeFile(join(folder, 'startedat'), '2024-05-06T07:08:09Z');
    await writeFile(join(folder, 'data'), bytes.subarray(0, 100));
    const found = await store.find(repo, id, unending);
    expect(found).toMatchObject({ offset: 100, startedAt: new Date('2024-05-06T07:08:09Z') });
    const done = await store.append(found!, 100, streamOf(bytes.subarray(100)), unending);
    expect(await store.commit(done, digest, unending)).toEqual({ size: bytes.length });
    expect((await stored())?.equals(bytes)).toBe(true);
  });

  test('stores the blob whenever two replicas commit one session at the same time', async () => {
    // With more patience than a slow disk takes: who waits in vain robs the other.
    const patient: Clock = {
      ...systemClock,
      sleep: (ms, signal) => systemClock.sleep(4 * ms, signal),
    };
    const [one, replica] = [1, 2].map(() => new FilesystemUploadStore(root, patient));
    for (let round = 0; round < 25; round += 1) {
      const session = await begin(bytes);
      const committed = await Promise.allSettled([
        one!.commit(session, digest, unending),
        replica!.commit(session, digest, unending),
      ]);
      const done = { status: 'fulfilled', value: { size: bytes.length } };
      expect(committed).toEqual([done, done]);
      expect((await stored())?.equals(bytes)).toBe(true);
      await blobs.delete(digest, unending);
    }
  });

  test('makes no empty file of a claim that was taken away, nor a wrong blob', async () => {
    // Without patience the replicas rob one another in the middle of their steps.
    const hasty = { ...systemClock, sleep: () => Promise.resolve() };
    const replicas = [1, 2, 3].map(() => new FilesystemUploadStore(root, hasty));
    for (let round = 0; round < 25; round += 1) {
      const session = await begin(bytes);
      const results = await Promise.allSettled(
        replicas.map((replica) => replica.commit(session, digest, unending)),
      );
      for (const result of results) {
        if (result.status === 'rejected') {
          expect(result.reason).not.toBeInstanceOf(DigestMismatchError);
        }
      }
      await store.commit(session, digest, unending);
      expect((await stored())?.equals(bytes)).toBe(true);
      await blobs.delete(digest, unending);
    }
  });

  test('reaps what is no whole session by the age of its folder', async () => {
    const session = await begin(bytes);
    await rm(join(folderOf(session), 'startedat'));
    expect(await store.find(repo, session.id, unending)).toBeUndefined();
    expect(await store.reap(repo, new Date(Date.now() - 60_000), unending)).toBe(0);
    expect(await store.reap(repo, new Date(Date.now() + 60_000), unending)).toBe(1);
    expect(await readdir(root)).toEqual(['twinport']);
  });

  test('removes temporary files that a crash left when it reaps', async () => {
    await begin(bytes);
    await writeFile(join(root, 'twinport', 'tmp', 'left'), 'half a blob').catch(async () => {
      await mkdir(join(root, 'twinport', 'tmp'), { recursive: true });
      await writeFile(join(root, 'twinport', 'tmp', 'left'), 'half a blob');
    });
    await store.reap(repo, new Date(Date.now() - 60_000), unending);
    expect(await readdir(join(root, 'twinport', 'tmp'))).toEqual(['left']);
    await store.reap(repo, new Date(Date.now() + 60_000), unending);
    expect(await readdir(join(root, 'twinport', 'tmp'))).toEqual([]);
  });

  test('finishes a commit that died after the blob was published', async () => {
    const session = await begin(bytes);
    const folder = folderOf(session);
    const committed = JSON.stringify({ schemaVersion: 1, digest });
    await writeFile(join(folder, 'committed.json'), committed);
    await mkdir(join(root, blobKey(digest), '..'), { recursive: true });
    await rename(join(folder, 'data'), join(root, blobKey(digest)));
    expect(await store.find(repo, session.id, unending)).toBeUndefined();
    expect(await store.commit(session, digest, unending)).toEqual({ size: bytes.length });
    expect(await store.reap(repo, new Date(0), unending)).toBe(0);
    await expect(store.commit(session, digest, unending)).rejects.toThrow(UploadUnknownError);
  });

  test('verifies again after a commit that died before the blob was published', async () => {
    const session = await begin(bytes);
    const committed = JSON.stringify({ schemaVersion: 1, digest: digestOf(Buffer.from('other')) });
    await writeFile(join(folderOf(session), 'committed.json'), committed);
    expect(await store.find(repo, session.id, unending)).toMatchObject({ offset: bytes.length });
    await expect(store.commit(session, digestOf(Buffer.from('other')), unending)).rejects.toThrow(
      DigestMismatchError,
    );
  });
});
