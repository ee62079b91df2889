import type { Trial } from '../store-findings.ts';
import type { ProbeObjects, PutCondition } from './probe-objects.ts';

/** Enough to see most stores that let several win; a store that passes may still do so now and then. */
const ROUNDS = 3;
const WRITERS = 8;
/** Larger bodies take longer, and leave more room between the look and the write. */
const BODY_BYTES = 32 * 1024;

/** Whether writes can be made to depend on what is there. Nothing here relies on it. */
export function conditionTrials(objects: ProbeObjects): Trial[] {
  return [
    {
      trait: 'put-if-absent',
      run: async () => {
        if (!(await objects.putIf('absent', 'x', { IfNoneMatch: '*' }))) return false;
        return !(await objects.putIf('absent', 'y', { IfNoneMatch: '*' }));
      },
    },
    {
      trait: 'put-if-absent-has-one-winner',
      run: () => everyRound((round) => race(objects, `race/absent-${round}`, { IfNoneMatch: '*' })),
    },
    {
      trait: 'put-if-unchanged',
      run: async () => {
        await objects.put('changed', 'x');
        const before = await objects.etag('changed');
        if (before === undefined) return false;
        if (!(await objects.putIf('changed', 'y', { IfMatch: before }))) return false;
        return !(await objects.putIf('changed', 'z', { IfMatch: before }));
      },
    },
    {
      trait: 'put-if-unchanged-has-one-winner',
      run: () =>
        everyRound(async (round) => {
          const name = `race/changed-${round}`;
          await objects.put(name, 'x');
          const etag = await objects.etag(name);
          return etag !== undefined && (await race(objects, name, { IfMatch: etag }));
        }),
    },
  ];
}

async function everyRound(play: (round: number) => Promise<boolean>): Promise<boolean> {
  for (let round = 0; round < ROUNDS; round += 1) if (!(await play(round))) return false;
  return true;
}

/** Whether exactly one of several writers at once was let through. */
async function race(
  objects: ProbeObjects,
  name: string,
  condition: PutCondition,
): Promise<boolean> {
  const results = await Promise.all(
    Array.from({ length: WRITERS }, (_, writer) =>
      objects.putIf(name, String(writer).repeat(BODY_BYTES), condition),
    ),
  );
  return results.filter(Boolean).length === 1;
}
