import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { digestOf, type Digest } from '../../oci/digest.ts';
import { parseRepositoryName, type RepositoryName } from '../../oci/reference.ts';
import type { BlobStore } from '../blob-store.ts';
import { DigestMismatchError, UploadOffsetError, UploadUnknownError } from '../errors.ts';
import { uploadsFolder } from '../object-keys.ts';
import type { RecordStore } from '../record-store.ts';
import type { UploadReaper, UploadSession, UploadStore } from '../upload-store.ts';
import type { ContractSizes } from './blob-store-contract.ts';
import {
  brokenStreamOf,
  hangingStreamOf,
  patternBytes,
  readAll,
  streamOf,
  unending,
} from './contract-support.ts';

export interface UploadStoreBench {
  readonly store: UploadStore & UploadReaper;
  /** Another instance over the same data, as another replica has it. */
  readonly replica: UploadStore & UploadReaper;
  readonly blobs: BlobStore;
  readonly records: RecordStore;
  /** What unfinished work left outside `_uploads/`: temporary files, multipart uploads, staged objects. */
  leftovers(): Promise<string[]>;
  cleanUp(): Promise<void>;
}

const EMPTY = Buffer.alloc(0);

/** What every UploadStore and UploadReaper must do. */
export function describeUploadStore(
  name: string,
  make: () => Promise<UploadStoreBench>,
  { partBytes }: ContractSizes,
): void {
  describe(`${name} as an UploadStore`, () => {
    let bench: UploadStoreBench;
    let store: UploadStore & UploadReaper;
    let replica: UploadStore & UploadReaper;
    let seed = 5000;
    beforeAll(async () => {
      bench = await make();
      ({ store, replica } = bench);
    });
    afterAll(async () => {
      await bench.cleanUp();
    });
    const fresh = (length: number): { bytes: Buffer; digest: Digest; repo: RepositoryName } => {
      const bytes = patternBytes(length, (seed += 1));
      const repo = parseRepositoryName(`contract/repository-${seed}`)!;
      return { bytes, digest: digestOf(bytes), repo };
    };
    const readBlob = async (digest: Digest): Promise<Buffer | undefined> => {
      const body = await bench.blobs.open(digest, undefined, unending);
      return body && readAll(body.stream);
    };
    const tomorrow = (): Date => new Date(Date.now() + 86_400_000);
    /** Nothing of the repository's sessions is left once the reaper has passed. */
    const expectTidy = async (repo: RepositoryName): Promise<void> => {
      await store.reap(repo, tomorrow(), unending);
      expect(await bench.records.list(uploadsFolder(repo), {}, unending)).toEqual([]);
      expect(await bench.leftovers()).toEqual([]);
    };
    const appendAll = async (session: UploadSession, chunks: Buffer[]): Promise<UploadSession> => {
      let current = session;
      for (const chunk of chunks) {
        current = await store.append(current, current.offset, streamOf(chunk), unending);
      }
      return current;
    };
    const cut = (bytes: Buffer, chunkBytes: number): Buffer[] =>
      Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, i) =>
        bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes),
      );

    test('begins a session that every replica finds, at offset 0', async () => {
      const { repo } = fresh(1);
      const before = Date.now();
      const session = await store.create(repo, undefined, unending);
      expect(session).toMatchObject({ repository: repo, offset: 0 });
      expect(session.startedAt.getTime()).toBeGreaterThanOrEqual(before - 2000);
      expect(session.startedAt.getTime()).toBeLessThanOrEqual(Date.now() + 2000);
      const found = await replica.find(repo, session.id, unending);
      expect(found).toMatchObject({ id: session.id, repository: repo, offset: 0 });
      expect(Math.abs(found!.startedAt.getTime() - session.startedAt.getTime())).toBeLessThan(1000);
      await store.cancel(session, unending);
      await expectTidy(repo);
    });

    test('writes when a session began as RFC 3339, where the CNCF registry looks for it', async () => {
      const { repo } = fresh(1);
      const session = await store.create(repo, undefined, unending);
      const key = `${uploadsFolder(repo)}/${session.id}/startedat`;
      const text = (await bench.records.get(key, unending))?.toString('utf8') ?? '';
      expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
      expect(Date.parse(text)).toBeCloseTo(session.startedAt.getTime(), -4);
      await store.cancel(session, unending);
    });

    test('does not find a session in another repository, nor an unknown one', async () => {
      const { repo } = fresh(1);
      const other = fresh(1).repo;
      const session = await store.create(repo, undefined, unending);
      const unknown = await store.create(other, undefined, unending);
      await store.cancel(unknown, unending);
      expect(await store.find(other, session.id, unending)).toBeUndefined();
      expect(await replica.find(other, session.id, unending)).toBeUndefined();
      expect(await store.find(repo, unknown.id, unending)).toBeUndefined();
      await store.cancel(session, unending);
    });

    describe.each([
      ['1 byte', 1],
      ['part - 1', partBytes - 1],
      ['part', partBytes],
      ['part + 1', partBytes + 1],
      ['3 parts + 1', 3 * partBytes + 1],
    ])('given %s', (_label, length) => {
      const finish = async (
        session: UploadSession,
        content: { bytes: Buffer; digest: Digest; repo: RepositoryName },
      ): Promise<void> => {
        expect(session.offset).toBe(length);
        expect(await store.commit(session, content.digest, unending)).toEqual({ size: length });
        expect(await bench.blobs.stat(content.digest, unending)).toMatchObject({ size: length });
        expect((await readBlob(content.digest))?.equals(content.bytes)).toBe(true);
        expect(await store.find(content.repo, session.id, unending)).toBeUndefined();
        expect(await replica.find(content.repo, session.id, unending)).toBeUndefined();
        await expectTidy(content.repo);
      };

      test('makes one chunk a blob', async () => {
        const content = fresh(length);
        const session = await store.create(content.repo, undefined, unending);
        await finish(await store.append(session, 0, streamOf(content.bytes), unending), content);
      });

      test('makes chunks of uneven sizes a blob', async () => {
        const content = fresh(length);
        const session = await store.create(content.repo, undefined, unending);
        const chunks = cut(content.bytes, Math.ceil(length / 3) + 1);
        await finish(await appendAll(session, chunks), content);
      });

      test('makes a chunk of part - 1, one byte, and the rest a blob', async () => {
        const content = fresh(length);
        const session = await store.create(content.repo, undefined, unending);
        const chunks = [
          content.bytes.subarray(0, partBytes - 1),
          content.bytes.subarray(partBytes - 1, partBytes),
          content.bytes.subarray(partBytes),
        ];
        await finish(await appendAll(session, chunks), content);
      });

      test('takes every step on another replica', async () => {
        const content = fresh(length);
        const middle = Math.floor(length / 2);
        const begun = await store.create(content.repo, undefined, unending);
        const first = await replica.find(content.repo, begun.id, unending);
        await replica.append(first!, 0, streamOf(content.bytes.subarray(0, middle)), unending);
        const second = await store.find(content.repo, begun.id, unending);
        expect(second?.offset).toBe(middle);
        await store.append(second!, middle, streamOf(content.bytes.subarray(middle)), unending);
        const third = await replica.find(content.repo, begun.id, unending);
        expect(third?.offset).toBe(length);
        expect(await replica.commit(third!, content.digest, unending)).toEqual({ size: length });
        expect((await readBlob(content.digest))?.equals(content.bytes)).toBe(true);
        await expectTidy(content.repo);
      });

      test('commits on another replica than the one that took the only chunk', async () => {
        const content = fresh(length);
        const session = await store.create(content.repo, undefined, unending);
        await store.append(session, 0, streamOf(content.bytes), unending);
        const found = await replica.find(content.repo, session.id, unending);
        expect(await replica.commit(found!, content.digest, unending)).toEqual({ size: length });
        expect((await readBlob(content.digest))?.equals(content.bytes)).toBe(true);
        await expectTidy(content.repo);
      });

      test.each(['sha512', undefined] as const)(
        'commits under sha512 when the client announced %s',
        async (algorithm) => {
          for (const chunks of [1, 2]) {
            const { bytes, repo } = fresh(length);
            const digest = digestOf(bytes, 'sha512');
            const session = await store.create(repo, algorithm, unending);
            const appended = await appendAll(session, cut(bytes, Math.ceil(length / chunks)));
            expect(await store.commit(appended, digest, unending)).toEqual({ size: length });
            expect((await readBlob(digest))?.equals(bytes)).toBe(true);
            expect(await bench.blobs.stat(digestOf(bytes), unending)).toBeUndefined();
            await expectTidy(repo);
          }
        },
      );

      test('commits under sha256 when the client announced sha512', async () => {
        const { bytes, digest, repo } = fresh(length);
        const session = await store.create(repo, 'sha512', unending);
        const appended = await store.append(session, 0, streamOf(bytes), unending);
        expect(await store.commit(appended, digest, unending)).toEqual({ size: length });
        expect((await readBlob(digest))?.equals(bytes)).toBe(true);
        await expectTidy(repo);
      });

      test('refuses a wrong digest; the session is gone then and nothing is visible', async () => {
        for (const algorithm of ['sha256', 'sha512'] as const) {
          for (const chunks of [1, 2]) {
            const { bytes, digest, repo } = fresh(length);
            const wrong = digestOf(patternBytes(length, 1), algorithm);
            const session = await store.create(repo, undefined, unending);
            const appended = await appendAll(session, cut(bytes, Math.ceil(length / chunks)));
            await expect(store.commit(appended, wrong, unending)).rejects.toThrow(
              DigestMismatchError,
            );
            expect(await replica.find(repo, session.id, unending)).toBeUndefined();
            expect(await bench.blobs.stat(wrong, unending)).toBeUndefined();
            expect(await bench.blobs.stat(digest, unending)).toBeUndefined();
            await expectTidy(repo);
          }
        }
      });

      test('keeps a prefix of a body that breaks, tells its true length, and goes on from there', async () => {
        const content = fresh(length);
        const session = await store.create(content.repo, undefined, unending);
        const half = Math.ceil(length / 2);
        const broken = brokenStreamOf(
          content.bytes.subarray(0, half),
          new Error('the client went away'),
          1000,
        );
        await expect(store.append(session, 0, broken, unending)).rejects.toThrow(
          'the client went away',
        );
        const found = await replica.find(content.repo, session.id, unending);
        expect(found!.offset).toBeLessThanOrEqual(half);
        const rest = streamOf(content.bytes.subarray(found!.offset));
        await finish(await store.append(found!, found!.offset, rest, unending), content);
      });

      test('keeps a prefix of a body whose operation is aborted, and goes on elsewhere', async () => {
        const content = fresh(length);
        const session = await store.create(content.repo, undefined, unending);
        const controller = new AbortController();
        const half = Math.ceil(length / 2);
        const hanging = hangingStreamOf(content.bytes.subarray(0, half), () => {
          controller.abort();
        });
        await expect(store.append(session, 0, hanging, controller.signal)).rejects.toBeDefined();
        expect(hanging.destroyed).toBe(true);
        const found = await replica.find(content.repo, session.id, unending);
        expect(found!.offset).toBeLessThanOrEqual(half);
        const rest = streamOf(content.bytes.subarray(found!.offset));
        await finish(await replica.append(found!, found!.offset, rest, unending), content);
      });

      test('is not kept from committing by the blob being there, whole or damaged', async () => {
        const { bytes, digest, repo } = fresh(length);
        for (let round = 0; round < 2; round += 1) {
          const session = await store.create(repo, undefined, unending);
          const appended = await store.append(session, 0, streamOf(bytes), unending);
          expect(await store.commit(appended, digest, unending)).toEqual({ size: length });
        }
        await bench.blobs.delete(digest, unending);
        expect(await bench.blobs.stat(digest, unending)).toBeUndefined();
        const session = await store.create(repo, undefined, unending);
        const appended = await store.append(session, 0, streamOf(bytes), unending);
        expect(await replica.commit(appended, digest, unending)).toEqual({ size: length });
        expect((await readBlob(digest))?.equals(bytes)).toBe(true);
        await expectTidy(repo);
      });

      test('drops everything when it is cancelled, and a second time without complaint', async () => {
        const { bytes, digest, repo } = fresh(length);
        const session = await store.create(repo, undefined, unending);
        const appended = await store.append(session, 0, streamOf(bytes), unending);
        await replica.cancel(appended, unending);
        expect(await store.find(repo, session.id, unending)).toBeUndefined();
        await store.cancel(appended, unending);
        await replica.cancel(session, unending);
        expect(await bench.blobs.stat(digest, unending)).toBeUndefined();
        await expectTidy(repo);
      });
    });

    test('makes a session without a byte the empty blob, with an empty chunk and without', async () => {
      const { repo } = fresh(1);
      for (const algorithm of ['sha256', 'sha512'] as const) {
        for (const chunks of [[], [EMPTY], [EMPTY, EMPTY]]) {
          const digest = digestOf(EMPTY, algorithm);
          await bench.blobs.delete(digest, unending);
          const session = await appendAll(await store.create(repo, undefined, unending), chunks);
          expect(session.offset).toBe(0);
          expect(await replica.commit(session, digest, unending)).toEqual({ size: 0 });
          expect((await readBlob(digest))?.length).toBe(0);
        }
      }
      await expectTidy(repo);
    });

    test('takes an empty chunk between others', async () => {
      const { bytes, digest, repo } = fresh(100);
      const session = await store.create(repo, undefined, unending);
      const chunks = [bytes.subarray(0, 60), EMPTY, bytes.subarray(60), EMPTY];
      const appended = await appendAll(session, chunks);
      expect(await store.commit(appended, digest, unending)).toEqual({ size: 100 });
      await expectTidy(repo);
    });

    test('takes many chunks of one byte, spread over the replicas', async () => {
      const { bytes, digest, repo } = fresh(40);
      let session = await store.create(repo, undefined, unending);
      for (let offset = 0; offset < bytes.length; offset += 1) {
        const taker = offset % 3 === 0 ? replica : store;
        const chunk = streamOf(bytes.subarray(offset, offset + 1));
        session = await taker.append(session, offset, chunk, unending);
        expect(session.offset).toBe(offset + 1);
      }
      expect(await replica.commit(session, digest, unending)).toEqual({ size: 40 });
      expect((await readBlob(digest))?.equals(bytes)).toBe(true);
      await expectTidy(repo);
    });

    test('keeps what was appended to a session while others are written', async () => {
      const contents = Array.from({ length: 6 }, () => fresh(partBytes + 1));
      await Promise.all(
        contents.map(async ({ bytes, digest, repo }, i) => {
          const session = await store.create(repo, undefined, unending);
          const appended = await appendAll(session, cut(bytes, 50_000 * (i + 1)));
          await store.commit(appended, digest, unending);
        }),
      );
      for (const { bytes, digest, repo } of contents) {
        expect((await readBlob(digest))?.equals(bytes)).toBe(true);
        await expectTidy(repo);
      }
    });

    test('refuses a chunk at another offset, tells the true one, and reads nothing of it', async () => {
      const { bytes, digest, repo } = fresh(300);
      const begun = await store.create(repo, undefined, unending);
      const session = await store.append(begun, 0, streamOf(bytes.subarray(0, 200)), unending);
      for (const offset of [0, 100, 199, 201, 5000]) {
        let isRead = false;
        const body = hangingStreamOf(EMPTY, () => {
          isRead = true;
        });
        // The caller's picture of the session may be old: what counts is where the store has it.
        const stale = { ...session, offset };
        for (const taker of [store, replica]) {
          const error: unknown = await taker
            .append(stale, offset, body, unending)
            .catch((e: unknown) => e);
          expect(error).toBeInstanceOf(UploadOffsetError);
          expect((error as UploadOffsetError).offset).toBe(200);
        }
        expect(isRead).toBe(false);
        body.destroy();
      }
      const done = await replica.append(session, 200, streamOf(bytes.subarray(200)), unending);
      expect(await store.commit(done, digest, unending)).toEqual({ size: 300 });
      await expectTidy(repo);
    });

    test('commits again after success without harm, here and on another replica', async () => {
      const { bytes, digest, repo } = fresh(partBytes + 1);
      const session = await store.create(repo, undefined, unending);
      const appended = await store.append(session, 0, streamOf(bytes), unending);
      for (const committer of [store, store, replica]) {
        expect(await committer.commit(appended, digest, unending)).toMatchObject({
          size: bytes.length,
        });
      }
      expect(await store.find(repo, session.id, unending)).toBeUndefined();
      expect((await readBlob(digest))?.equals(bytes)).toBe(true);
      await expectTidy(repo);
    });

    test('commits once when two replicas finish a session at the same time', async () => {
      const { bytes, digest, repo } = fresh(3 * partBytes + 1);
      const session = await store.create(repo, undefined, unending);
      const appended = await appendAll(session, cut(bytes, partBytes));
      const results = await Promise.allSettled([
        store.commit(appended, digest, unending),
        replica.commit(appended, digest, unending),
      ]);
      expect(results.some((result) => result.status === 'fulfilled')).toBe(true);
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(UploadUnknownError);
        else expect(result.value).toEqual({ size: bytes.length });
      }
      expect((await readBlob(digest))?.equals(bytes)).toBe(true);
      await expectTidy(repo);
    });

    // Whoever commits becomes a reader of the blob: a finished session must prove nothing about content it never held.
    test('never lets a finished session stand for a blob that it did not hold', async () => {
      const secret = fresh(500);
      await bench.blobs.put(secret.digest, secret.bytes, undefined, unending);
      const { bytes, digest, repo } = fresh(100);
      const cancelled = await store.create(repo, undefined, unending);
      await store.cancel(cancelled, unending);
      const committed = await store.create(repo, undefined, unending);
      const appended = await store.append(committed, 0, streamOf(bytes), unending);
      await store.commit(appended, digest, unending);
      const mismatched = await store.create(repo, undefined, unending);
      await expect(store.commit(mismatched, secret.digest, unending)).rejects.toThrow(
        DigestMismatchError,
      );
      for (const session of [cancelled, appended, mismatched]) {
        for (const committer of [store, replica]) {
          await expect(committer.commit(session, secret.digest, unending)).rejects.toThrow(
            UploadUnknownError,
          );
        }
      }
      await expectTidy(repo);
    });

    test('appends nothing to a session that is gone', async () => {
      const { bytes, digest, repo } = fresh(100);
      const cancelled = await store.create(repo, undefined, unending);
      await store.cancel(cancelled, unending);
      const session = await store.create(repo, undefined, unending);
      const committed = await store.append(session, 0, streamOf(bytes), unending);
      await store.commit(committed, digest, unending);
      for (const gone of [cancelled, committed]) {
        for (const taker of [store, replica]) {
          const body = streamOf(bytes);
          await expect(taker.append(gone, gone.offset, body, unending)).rejects.toThrow(
            UploadUnknownError,
          );
          body.destroy();
        }
      }
      expect((await readBlob(digest))?.equals(bytes)).toBe(true);
      await expectTidy(repo);
    });

    test('publishes only verified bytes when an append is still running during the commit', async () => {
      const { bytes, digest, repo } = fresh(2000);
      const session = await store.create(repo, undefined, unending);
      const appended = await store.append(session, 0, streamOf(bytes), unending);
      const controller = new AbortController();
      const lateBytes = patternBytes(partBytes + 7, 4);
      const drained = Promise.withResolvers<undefined>();
      const late = hangingStreamOf(lateBytes, () => {
        drained.resolve(undefined);
      });
      const lateAppend = replica
        .append(appended, appended.offset, late, controller.signal)
        .catch(() => undefined);
      await Promise.race([drained.promise, lateAppend]);
      await store.commit(appended, digest, unending).catch(() => undefined);
      controller.abort();
      await lateAppend;
      const stored = await readBlob(digest);
      expect(stored === undefined || stored.equals(bytes)).toBe(true);
      await expectTidy(repo);
    });

    test('makes no wrong blob of two appends that race at one offset', async () => {
      const { bytes, digest, repo } = fresh(partBytes + 10);
      const session = await store.create(repo, undefined, unending);
      await Promise.allSettled([
        store.append(session, 0, streamOf(bytes), unending),
        replica.append(session, 0, streamOf(patternBytes(partBytes + 10, 2)), unending),
      ]);
      await store.commit(session, digest, unending).catch(() => undefined);
      const stored = await readBlob(digest);
      expect(stored === undefined || stored.equals(bytes)).toBe(true);
      await expectTidy(repo);
    });

    test('reaps what began before the given time, and nothing else', async () => {
      const { bytes, digest, repo } = fresh(3 * partBytes + 1);
      const other = fresh(1).repo;
      const empty = await store.create(repo, undefined, unending);
      const begun = await store.create(repo, undefined, unending);
      const filled = await store.append(begun, 0, streamOf(bytes), unending);
      const foreign = await store.create(other, undefined, unending);
      expect(await store.reap(repo, new Date(Date.now() - 86_400_000), unending)).toBe(0);
      expect(await replica.find(repo, filled.id, unending)).toMatchObject({ offset: bytes.length });
      expect(await replica.find(repo, empty.id, unending)).toBeDefined();
      expect(await replica.reap(repo, tomorrow(), unending)).toBe(2);
      expect(await store.find(repo, filled.id, unending)).toBeUndefined();
      expect(await store.find(repo, empty.id, unending)).toBeUndefined();
      expect(await store.find(other, foreign.id, unending)).toBeDefined();
      expect(await bench.blobs.stat(digest, unending)).toBeUndefined();
      expect(await store.reap(repo, tomorrow(), unending)).toBe(0);
      expect(await bench.records.list(uploadsFolder(repo), {}, unending)).toEqual([]);
      expect(await store.reap(other, tomorrow(), unending)).toBe(1);
      expect(await bench.leftovers()).toEqual([]);
    });

    test('does not count a finished session as reaped, and leaves its blob alone', async () => {
      const { bytes, digest, repo } = fresh(100);
      const session = await store.create(repo, undefined, unending);
      const appended = await store.append(session, 0, streamOf(bytes), unending);
      await store.commit(appended, digest, unending);
      expect(await store.reap(repo, tomorrow(), unending)).toBe(0);
      expect((await readBlob(digest))?.equals(bytes)).toBe(true);
      await expectTidy(repo);
    });

    test('does nothing when the signal has aborted already', async () => {
      const { bytes, digest, repo } = fresh(100);
      const session = await store.create(repo, undefined, unending);
      const appended = await store.append(session, 0, streamOf(bytes), unending);
      const aborted = AbortSignal.abort(new Error('the client is gone'));
      const body = streamOf(bytes);
      await expect(store.create(repo, undefined, aborted)).rejects.toBeDefined();
      await expect(store.append(appended, 100, body, aborted)).rejects.toBeDefined();
      await expect(store.commit(appended, digest, aborted)).rejects.toBeDefined();
      await expect(store.cancel(appended, aborted)).rejects.toBeDefined();
      await expect(store.find(repo, session.id, aborted)).rejects.toBeDefined();
      await expect(store.reap(repo, tomorrow(), aborted)).rejects.toBeDefined();
      body.destroy();
      expect(await store.find(repo, session.id, unending)).toMatchObject({ offset: 100 });
      expect(await bench.blobs.stat(digest, unending)).toBeUndefined();
      await store.cancel(appended, unending);
      await expectTidy(repo);
    });
  });
}
