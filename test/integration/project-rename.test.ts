import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { ProjectRecord } from '../../shared/index/ports.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { ProjectRename } from '../../shared/management/project-rename.ts';
import { Robots } from '../../shared/management/robots.ts';
import { digestOf } from '../../shared/oci/digest.ts';
import type { RepositoryName, Tag } from '../../shared/oci/reference.ts';
import { FilesystemExclusiveRecords } from '../../shared/storage/filesystem/filesystem-exclusive-records.ts';
import { FilesystemUploadStore } from '../../shared/storage/filesystem/filesystem-upload-store.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { createIndexLab, type IndexLab, PATIENT } from '../support/index-lab.ts';

describeWithTools(['redis-server'], 'a project that is renamed, with Redis', () => {
  let lab: IndexLab;
  beforeAll(async () => {
    lab = await createIndexLab({ timing: PATIENT });
  });
  afterAll(() => lab.close());

  test('is what another replica sees at once, whatever of both names it had in Redis', async () => {
    const [index, other] = [await lab.replica(), await lab.replica()];
    const digest = digestOf(Buffer.from('manifest'));
    const [before, after] = ['library/app', 'ours/app'] as RepositoryName[];
    const tag = 'v1' as Tag;
    const project: ProjectRecord = {
      schemaVersion: 1,
      name: 'library',
      createdAt: '2026-01-01T00:00:00.000Z',
      adopted: true,
    };
    await index.projects.put(project, unending);
    await index.members.add(before!, 'manifest', digest, unending);
    await index.tags.set(before!, tag, digest, unending);
    const seen = async (repository: RepositoryName) => [
      await other.members.has(repository, 'manifest', digest, unending),
      await other.tags.get(repository, tag, unending),
      await other.tags.list(repository, unending),
    ];
    const there = [true, digest, [tag]];
    const absent = [false, undefined, []];
    for (let round = 0; round < 2; round += 1) {
      expect([await seen(before!), await seen(after!)]).toEqual([there, absent]);
    }
    const deps = {
      records: lab.records,
      exclusive: new FilesystemExclusiveRecords(lab.folder),
      leases: index.leases,
      // Half a minute is not waited for.
      clock: { ...systemClock, sleep: () => Promise.resolve() },
    };
    await new ProjectRename({
      ...{ ...deps, index, robots: new Robots(deps) },
      uploads: new FilesystemUploadStore(lab.folder, systemClock),
      upstreams: () => Promise.resolve([]),
      rules: { isDottedReserved: true },
    }).rename({ from: 'library', to: 'ours' }, unending);
    expect([await seen(before!), await seen(after!)]).toEqual([absent, there]);
    expect(await other.projects.get('library', unending)).toBeUndefined();
    expect(await other.projects.get('ours', unending)).toMatchObject({ name: 'ours' });
    expect(await lab.truth.catalog.repositories(unending)).toEqual([after]);
  });
});
