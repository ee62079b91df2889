import pLimit from 'p-limit';

/** Reads of the store at once for one request. */
export const READ_CONCURRENCY = 16;

/** As Promise.all over the items, at most READ_CONCURRENCY at once; after a failure no further one begins. */
export async function mapBounded<Item, Result>(
  items: readonly Item[],
  map: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const limit = pLimit(READ_CONCURRENCY);
  try {
    return await Promise.all(items.map((item) => limit(map, item)));
  } catch (error) {
    limit.clearQueue();
    throw error;
  }
}
