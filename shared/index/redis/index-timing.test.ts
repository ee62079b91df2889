import { expect, test } from '@jest/globals';

import { indexTiming } from './index-timing.ts';

test.each([1, 5, 6, 10, 15, 60, 3600])(
  'nothing is kept while a write may come in that began unseen before a trust period of %i s ended',
  (trustSeconds) => {
    const { coldMs, trustMs, writeDeadlineMs } = indexTiming(trustSeconds);
    expect(coldMs).toBeGreaterThanOrEqual(trustMs + writeDeadlineMs);
  },
);
