import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { testFaultyPushes } from './s3-faults/faulty-pushes.ts';
import { testFaultyReads } from './s3-faults/faulty-reads.ts';
import { testFaultyRemovals } from './s3-faults/faulty-removals.ts';
import { testPushTraffic } from './s3-faults/push-traffic.ts';
import { S3FaultLab } from './s3-faults/s3-fault-lab.ts';
import { testSessionsElsewhere } from './s3-faults/sessions-elsewhere.ts';

describeWithTools(['minio'], 'The S3 store, when S3 misbehaves,', () => {
  const lab = new S3FaultLab();
  beforeAll(() => lab.start());
  afterAll(() => lab.stop());
  beforeEach(() => {
    lab.renew();
  });
  afterEach(() => {
    lab.proxy.clear();
  });

  testFaultyPushes(lab);
  testPushTraffic(lab);
  testSessionsElsewhere(lab);
  testFaultyReads(lab);
  testFaultyRemovals(lab);
});
