import { afterAll } from '@jest/globals';

import { describeRegistryIndex } from '../../shared/index/testing/index-contract.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { createIndexLab, type IndexLab, type LabOptions, PATIENT } from '../support/index-lab.ts';

describeWithTools(['redis-server'], 'the index with Redis', () => {
  const labs: IndexLab[] = [];
  const newLab = async (options: LabOptions = {}): Promise<IndexLab> => {
    const lab = await createIndexLab(options);
    labs.push(lab);
    return lab;
  };
  afterAll(async () => {
    for (const lab of labs) await lab.close();
  });

  describeRegistryIndex('RedisIndex', async () => {
    const lab = await newLab({ timing: PATIENT });
    const [index, replica] = [await lab.replica(), await lab.replica()];
    return { index, replica, records: lab.records, isShared: true, cleanUp: () => lab.close() };
  });

  describeRegistryIndex('RedisIndex in an epoch that is still cold', async () => {
    const lab = await newLab({ timing: PATIENT, isCold: true });
    const [index, replica] = [await lab.replica(), await lab.replica()];
    return { index, replica, records: lab.records, isShared: true, cleanUp: () => lab.close() };
  });

  describeRegistryIndex('RedisIndex without a Redis that answers', async () => {
    const lab = await newLab();
    const index = await lab.replica({ url: 'redis://127.0.0.1:1' });
    return {
      index,
      replica: await lab.replica({ url: 'redis://127.0.0.1:1' }),
      records: lab.records,
      isShared: false,
      cleanUp: () => lab.close(),
    };
  });
});
