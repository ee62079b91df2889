import { randomBytes } from 'node:crypto';

import type { Subject } from '../subjects/subject.ts';
import {
  makePushBlobs,
  type PushBlob,
  type PushPlan,
  type PushStyle,
  runPushLoad,
} from '../measure/push-load.ts';
import { type Case, metered } from './case.ts';

const MB = 1e6;
/** After this a round begins no further blob: some registries take minutes for what others do in a second. */
const ROUND_MS = 20_000;
/** Before the first round, so that nobody's code runs for the first time in it. */
const WARM_UP_MS = 4_000;

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
  // A repository of its own for each round: no answer about it is known from before.
  const newPlan = ({ maxMs }: { readonly maxMs: number }): PushPlan => {
    const repository = `bench/push-${randomBytes(4).toString('hex')}`;
    return { style, repository, blobBytes: megabytes * MB, blobs, clients, maxMs };
  };
  return {
    id: `push-${style}-${megabytes}mb`,
    title: `push of ${megabytes} MB blobs as ${style} does, ${clients} at once`,
    unit: 'MB/s',
    isQuick: style === 'docker' && megabytes !== 100,
    warmUp: async (subject) => {
      const plan = newPlan({ maxMs: WARM_UP_MS });
      const made = makePushBlobs(plan);
      await runPushLoad(subject.url, plan, made);
      await forget(subject, plan, made);
    },
    run: async (subject) => {
      const plan = newPlan({ maxMs: ROUND_MS });
      const made = makePushBlobs(plan);
      try {
        return await metered(subject, async () => {
          const { seconds, pushed } = await runPushLoad(subject.url, plan, made);
          return { units: pushed * megabytes, seconds };
        });
      } finally {
        await forget(subject, plan, made);
      }
    },
  };
}

const forget = (subject: Subject, plan: PushPlan, made: readonly PushBlob[]): Promise<void> =>
  subject.forget(
    plan.repository,
    made.map(({ digest }) => digest),
  );
