import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';

import type { Trial } from '../store-findings.ts';
import { LISTED, withMultipart } from './probe-copies.ts';
import type { ProbeObjects } from './probe-objects.ts';

/** In the order of their bytes, which is neither that of a dictionary nor that of a folder tree. */
const ORDERED = ['B', 'a-b/x', 'a/x', 'a0', 'b'];

/** What listings of the bucket are good for. */
export function listingTrials(objects: ProbeObjects): Trial[] {
  const ordered = Promise.all(ORDERED.map((name) => objects.put(`ordered/${name}`, name)));
  ordered.catch(() => undefined);
  return [
    {
      trait: 'list-after-write',
      run: async () => {
        for (const name of ['one', 'two', 'three']) {
          await objects.put(`listed/${name}`, name);
          if (!(await objects.list('listed')).includes(name)) return false;
        }
        return true;
      },
    },
    {
      trait: 'list-after-delete',
      run: async () => {
        await objects.put('unlisted/one', 'x');
        await objects.put('unlisted/two', 'x');
        await objects.delete('unlisted/one');
        return !(await objects.list('unlisted')).includes('one');
      },
    },
    {
      trait: 'listed-in-byte-order',
      run: async () => {
        await ordered;
        return (await objects.list('ordered')).join() === ORDERED.join();
      },
    },
    {
      trait: 'listing-after-a-key',
      run: async () => {
        await ordered;
        return (await objects.list('ordered', 'a0')).join() === 'b';
      },
    },
    {
      trait: 'multipart-uploads-listed-by-folder',
      run: () =>
        withMultipart(objects, LISTED, async ({ key }) => {
          const { bucket } = objects;
          const command = new ListMultipartUploadsCommand({
            Bucket: bucket.name,
            Prefix: `${bucket.rootPrefix}${objects.folder}/multipart/`,
          });
          const answer = await bucket.tell(objects.call('multipart'), (options) =>
            bucket.client.send(command, options),
          );
          return (answer.Uploads ?? []).some(({ Key }) => Key === bucket.at(key).Key);
        }),
    },
  ];
}
