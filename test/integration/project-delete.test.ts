import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { systemClock } from '../../shared/lifecycle/clock.ts';
import { folderManagement } from '../../shared/management/testing/folder-management.ts';
import { ProjectAdministration } from '../../shared/management/project-administration.ts';
import { Robots } from '../../shared/management/robots.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { createIndexLab, type IndexLab, PATIENT } from '../support/index-lab.ts';

/** Nobody else takes pushes here, so nobody has to be waited for. */
const impatient = { ...systemClock, sleep: () => Promise.resolve() };
const layer = digestOf(Buffer.from('a layer'));

describeWithTools(['redis-server'], 'a project that is deleted with Redis', () => {
  let lab: IndexLab;
  beforeAll(async () => {
    lab = await createIndexLab({ timing: PATIENT });
  });
  afterAll(() => lab.close());

  test('is forgotten there, and nothing of anybody else', async () => {
    const index = await lab.replica();
    const client = lab.client();
    const deps = folderManagement(lab.folder, lab.records);
    const projects = new ProjectAdministration({
      ...deps,
      ...{ index, clock: impatient, robots: new Robots(deps) },
      blobs: { stat: () => Promise.resolve(undefined) },
      upstreams: () => Promise.resolve([]),
      rules: { isDottedReserved: true },
    });
    const gone = 'gone/app' as RepositoryName;
    const kept = 'kept/app' as RepositoryName;
    const isRemembered = async (repository: RepositoryName): Promise<boolean> => {
      const found = await client.keys(`*entry:blob:${repository}:*`);
      return found.length === 1 && (await client.hget(found[0] ?? '', 'v')) === 'true';
    };
    await projects.create({ name: 'gone', visibility: 'public', owner: undefined }, unending);
    for (const repository of [gone, kept]) {
      await index.members.add(repository, 'blob', layer, unending);
      expect(await isRemembered(repository)).toBe(true);
    }
    await projects.delete('gone', unending);
    expect(await index.members.has(gone, 'blob', layer, unending)).toBe(false);
    expect(await isRemembered(kept)).toBe(true);
    expect(await index.members.has(kept, 'blob', layer, unending)).toBe(true);
    expect(lab.operations).not.toContain('reset');
  });
});
