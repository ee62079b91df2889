import { afterAll, beforeAll, describe } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { UploadBench } from '../support/upload-bench.ts';
import { testBrokenOffUploads } from './uploads/broken-off-uploads.ts';
import { testChunks } from './uploads/chunks.ts';
import { testOverlappingRequests } from './uploads/overlapping-requests.ts';
import { testUploadForms } from './uploads/upload-forms.ts';

const STORES = [
  { store: 'minio and redis', tools: ['redis-server', 'minio'] },
  { store: 'minio alone', tools: ['minio'] },
  { store: 'files', tools: [] },
] as const;

describe.each(STORES)('over $store', ({ store, tools }) => {
  describeWithTools(tools, `three push replicas over ${store}`, () => {
    const bench = new UploadBench(store);
    beforeAll(() => bench.start(3));
    afterAll(() => bench.stop());

    testUploadForms(bench);
    testChunks(bench);
    testOverlappingRequests(bench);
    testBrokenOffUploads(bench);
  });
});
