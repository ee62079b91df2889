import { existsSync } from 'node:fs';
import path from 'node:path';

import jestSequencer from '@jest/test-sequencer';

/** To an ES module its default export is the class itself; its types speak of what `require` gets. */
const Sequencer = jestSequencer as unknown as typeof jestSequencer.default;
type Tests = Parameters<jestSequencer.default['sort']>[0];

const ROOT = path.resolve(import.meta.dirname, '..', '..');

/**
 * The test files that take longest, with the seconds that they took on two processors, two at a time. Left to itself jest
 * goes by the size of the files when it has not run them before, which starts some of these last: then one worker is
 * through while the other has minutes to go.
 */
const SECONDS: Readonly<Record<string, number>> = {
  'test/e2e/uploads.test.ts': 310,
  'test/integration/s3-stores.test.ts': 280,
  'test/e2e/image.test.ts': 180,
  'test/integration/s3-faults.test.ts': 150,
  'test/integration/crash-points.test.ts': 140,
  'test/integration/workers.test.ts': 120,
  'test/e2e/distribution-interop.test.ts': 70,
  'test/e2e/distribution-export.test.ts': 65,
  'test/integration/start.test.ts': 60,
  'test/integration/crash-fill.test.ts': 58,
  'test/integration/s3-pulls.test.ts': 51,
  'test/e2e/joined-downloads.test.ts': 51,
  'test/wire/referrer-pages.test.ts': 44,
  'test/integration/eviction-storm.test.ts': 43,
  'test/e2e/mirror-clients/containerd.test.ts': 42,
  'test/integration/store-faults.test.ts': 40,
  'test/e2e/docker.test.ts': 35,
  'test/integration/index-history.test.ts': 34,
  'test/integration/adopt-cache.test.ts': 34,
  'test/e2e/replicas.test.ts': 30,
  'test/e2e/private-images.test.ts': 29,
};

/** Starts the longest first, then everything else in jest's own order. Throws when the table names a file that is gone. */
class LongFilesFirst extends Sequencer {
  override async sort(tests: Tests): Promise<Tests> {
    for (const file of Object.keys(SECONDS)) {
      if (!existsSync(path.join(ROOT, file))) throw new Error(`${file} is gone: mend the table`);
    }
    const inJestsOrder = await super.sort(tests);
    return inJestsOrder.toSorted((a, b) => secondsOf(b.path) - secondsOf(a.path));
  }
}

function secondsOf(file: string): number {
  return SECONDS[path.relative(ROOT, file).split(path.sep).join('/')] ?? 0;
}

/** Jest makes one from the configuration. */
export { LongFilesFirst as default };
