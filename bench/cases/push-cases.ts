import { randomBytes } from 'node:crypto';

import { makePushBlobs, type PushPlan, type PushStyle, runPushLoad } from '../measure/push-load.ts';
import { type Case, metered } from './case.ts';

const MB = 1e6;

/** Of each size so many that a round takes about as long as one of reading. */
const SIZES = [
  { megabytes: 1, blobs: 48, clients: 4 },
  { megabytes: 10, blobs: 12, clients: 4 },
  { megabytes: 100, blobs: 3, clients: 3 },
] as const;

/** Pushes of new blobs, in the two ways in which clients push; hashing them is not part of the measurement. */
export const PUSH_CASES: readonly Case[] = (['docker', 'containerd'] as const).flatMap((style) =>
  SIZES.map((size) => pushCase(style, size)),
);

function pushCase(style: PushStyle, { megabytes, blobs, clients }: (typeof SIZES)[number]): Case {
  return {
    id: `push-${style}-${megabytes}mb`,
    title: `push of ${megabytes} MB blobs as ${style} does, ${clients} at once`,
    unit: 'MB/s',
    isQuick: style === 'docker' && megabytes !== 100,
    run: async (subject) => {
      // A repository of its own for each round: no answer about it is known from before.
      const repository = `bench/push-${randomBytes(4).toString('hex')}`;
      const plan: PushPlan = { style, repository, blobBytes: megabytes * MB, blobs, clients };
      const made = makePushBlobs(plan);
      try {
        return await metered(subject, async () => ({
          units: blobs * megabytes,
          seconds: await runPushLoad(subject.url, plan, made),
        }));
      } finally {
        await subject.forget(
          repository,
          made.map(({ digest }) => digest),
        );
      }
    },
  };
}
