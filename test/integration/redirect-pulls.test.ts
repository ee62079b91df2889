import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { parseDigest } from '../../shared/oci/digest.ts';
import { blobKey } from '../../shared/storage/object-keys.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { digestOf, makeImage } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { pushImage } from '../support/registry-client.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import {
  createTestS3Client,
  type S3Server,
  startMinio,
  startVersitygw,
} from '../support/start-s3.ts';
import { waitFor } from '../support/wait-for.ts';

const SERVERS = [
  { name: 'minio', start: startMinio },
  { name: 'versitygw', start: startVersitygw },
] as const;
const LIFE_SECONDS = 77;
const image = makeImage({ layerBytes: [300_000] });
const [config, layer] = image.blobs as [(typeof image.blobs)[0], (typeof image.blobs)[0]];

describe.each(SERVERS)('with blobs on $name that clients fetch themselves', ({ name, start }) => {
  describeWithTools([name], 'S3_REDIRECT_PULLS', () => {
    const servers = new OwnedServers();
    let s3: S3Server;
    let upstream: FakeUpstream;
    let push: TwinportProcess;
    let mirror: TwinportProcess;

    beforeAll(async () => {
      s3 = await servers.own(start());
      upstream = await servers.own(startFakeUpstream());
      const common = {
        storage: s3,
        upstreamUrl: upstream.url,
        env: {
          S3_REDIRECT_PULLS: 'true',
          S3_REDIRECT_SECONDS: String(LIFE_SECONDS),
          S3_PUBLIC_ENDPOINT: publicEndpoint(s3),
        },
      };
      [push, mirror] = await Promise.all([
        servers.own(startTwinport({ ...common, role: 'push' })),
        servers.own(startTwinport({ ...common, role: 'mirror' })),
      ]);
      await pushImage(push.url, 'team/app', '1', image);
    });
    afterAll(() => servers.stopAll());

    const ask = (url: string, init: RequestInit = {}): Promise<Response> =>
      fetch(url, { ...init, redirect: 'manual' });
    const blobUrl = (digest: string, at = push, repository = 'team/app'): string =>
      `${at.url}/v2/${repository}/blobs/${digest}`;

    test.each(['push', 'mirror'] as const)('sends a GET at the %s to the bucket', async (role) => {
      const answer = await ask(blobUrl(layer.digest, role === 'push' ? push : mirror));
      expect(answer.status).toBe(307);
      expect(await answer.text()).toBe('');
      expect(answer.headers.get('docker-content-digest')).toBe(layer.digest);
      expect(answer.headers.get('cache-control')).toBe('private, no-store');
      const location = new URL(answer.headers.get('location')!);
      expect(location.origin).toBe(publicEndpoint(s3));
      expect(location.searchParams.get('X-Amz-Expires')).toBe(String(LIFE_SECONDS));

      const fetched = await fetch(location);
      expect(fetched.status).toBe(200);
      expect(fetched.headers.get('content-type')).toBe('application/octet-stream');
      expect(digestOf(Buffer.from(await fetched.arrayBuffer()))).toBe(layer.digest);
    });

    test('gives a URL that a client takes its Range to, and that is good for GET alone', async () => {
      const range = { headers: { range: 'bytes=1000-1999' } };
      const answer = await ask(blobUrl(layer.digest), range);
      expect(answer.status).toBe(307);
      const location = answer.headers.get('location')!;
      const part = await fetch(location, range);
      expect(part.status).toBe(206);
      expect(part.headers.get('content-range')).toBe(`bytes 1000-1999/${layer.bytes.length}`);
      expect(Buffer.from(await part.arrayBuffer())).toEqual(layer.bytes.subarray(1000, 2000));
      for (const method of ['PUT', 'DELETE']) {
        const refused = await fetch(location, { method });
        expect(refused.status).toBe(403);
        await refused.arrayBuffer();
      }
    });

    test('answers several ranges, and ranges of no byte, by itself', async () => {
      const several = await ask(blobUrl(layer.digest), { headers: { range: 'bytes=0-1,5-9' } });
      expect(several.status).toBe(200);
      expect(digestOf(Buffer.from(await several.arrayBuffer()))).toBe(layer.digest);
      const none = await ask(blobUrl(layer.digest), { headers: { range: 'bytes=900000-' } });
      expect(none.status).toBe(416);
      expect(none.headers.get('content-range')).toBe(`bytes */${layer.bytes.length}`);
      await none.arrayBuffer();
    });

    test('answers HEAD, manifests and a client that has the blob by itself', async () => {
      for (const at of [push, mirror]) {
        const head = await ask(blobUrl(layer.digest, at), { method: 'HEAD' });
        expect(head.status).toBe(200);
        expect(head.headers.get('content-length')).toBe(String(layer.bytes.length));
        for (const method of ['GET', 'HEAD']) {
          const manifest = await ask(`${at.url}/v2/team/app/manifests/1`, { method });
          expect(manifest.status).toBe(200);
          await manifest.arrayBuffer();
        }
        const condition = { headers: { 'if-none-match': `"${layer.digest}"` } };
        expect((await ask(blobUrl(layer.digest, at), condition)).status).toBe(304);
      }
    });

    test('sends nobody to a blob through a repository that does not have it', async () => {
      for (const repository of ['team/other', 'team']) {
        const answer = await ask(blobUrl(layer.digest, push, repository));
        expect(answer.status).toBe(404);
        expect(await answer.text()).toContain('BLOB_UNKNOWN');
      }
    });

    test('sends nobody to a blob that the bucket has lost', async () => {
      const lost = makeImage({ layerBytes: [1000] });
      await pushImage(push.url, 'team/lost', '1', lost);
      const { digest } = lost.blobs[1]!;
      const client = createTestS3Client(s3);
      const Key = blobKey(parseDigest(digest)!);
      await client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key }));
      client.destroy();
      const answer = await ask(blobUrl(digest, push, 'team/lost'));
      expect(answer.status).toBe(404);
      expect(await answer.text()).toContain('BLOB_UNKNOWN');
    });

    test('streams a fill at the mirror, and sends to the bucket once the blob is held', async () => {
      const cached = makeImage({ layerBytes: [200_000] });
      upstream.addImage('library/cached', '1', cached);
      const [, wanted] = cached.blobs as [unknown, (typeof cached.blobs)[0]];
      const url = blobUrl(wanted.digest, mirror, 'library/cached');
      const first = await ask(url);
      expect(first.status).toBe(200);
      expect(digestOf(Buffer.from(await first.arrayBuffer()))).toBe(wanted.digest);
      const held = await waitFor(
        async () => {
          const answer = await ask(url);
          await answer.arrayBuffer();
          return answer.status === 307 ? answer : undefined;
        },
        { what: 'the blob to be held' },
      );
      const bytes = await (await fetch(held.headers.get('location')!)).arrayBuffer();
      expect(digestOf(Buffer.from(bytes))).toBe(wanted.digest);
    });

    test('shows no signature in the log', async () => {
      await ask(blobUrl(config.digest));
      expect(push.logs()).not.toContain('X-Amz-Signature');
    });
  });
});

/** The server under another name than the processes reach it by. */
function publicEndpoint({ endpoint }: S3Server): string {
  return endpoint.replace('127.0.0.1', 'localhost');
}
