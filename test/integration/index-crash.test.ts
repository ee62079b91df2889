import { isDeepStrictEqual } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { RedisIndex } from '../../shared/index/redis/create-redis-index.ts';
import { digestOfText, newRepository, tagOf } from '../../shared/index/testing/index-names.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { dirtyFolder } from '../../shared/storage/object-keys.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { createIndexLab, type IndexLab, PATIENT } from '../support/index-lab.ts';
import { startProcess } from '../support/start-process.ts';
import { waitFor } from '../support/wait-for.ts';

const unending = new AbortController().signal;
const tag = tagOf('latest');

describeWithTools(['redis-server'], 'a replica of the index that is killed', () => {
  let lab: IndexLab;
  let survivor: RedisIndex;
  beforeAll(async () => {
    lab = await createIndexLab({ timing: PATIENT });
    survivor = await lab.replica();
  });
  afterAll(() => lab.close());

  const answers = async (index: RegistryIndex, repository: RepositoryName): Promise<object> => ({
    tag: await index.tags.get(repository, tag, unending),
    tags: await index.tags.list(repository, unending),
    isMember: await index.members.has(repository, 'manifest', digestOfText('old'), unending),
  });

  test.each([
    ['set', 'index.marked-dirty'],
    ['set', 'tag.history-written'],
    ['set', 'tag.current-written'],
    ['set', 'index.store-written'],
    ['set', 'index.installed'],
    ['delete', 'index.marked-dirty'],
    ['delete', 'tag.current-deleted'],
    ['delete', 'index.store-written'],
    ['delete', 'index.installed'],
    ['add', 'index.marked-dirty'],
    ['add', 'index.store-written'],
    ['add', 'index.installed'],
  ] as const)('during %s at %s: Redis says what the store says', async (change, point) => {
    const repository = newRepository();
    await lab.warm();
    await survivor.tags.set(repository, tag, digestOfText('old'), unending);
    await answers(survivor, repository);
    const child = await startProcess({
      name: 'index-child',
      command: process.execPath,
      args: ['test/support/index-child.ts', lab.folder, lab.redis.url, point, change, repository],
    });
    const end = await child.ended;
    expect({ ...end, logs: child.logs() }).toEqual({ code: null, signal: 'SIGKILL', logs: '' });
    const truth = await answers(lab.truth, repository);
    if ((await lab.records.list(dirtyFolder, {}, unending)).length > 0) {
      // On a busy machine Redis answered the process too late, and it left a journal entry.
      await waitFor(async () => isDeepStrictEqual(await answers(survivor, repository), truth), {
        what: 'the journal entry to be seen',
      });
    }
    expect(await answers(survivor, repository)).toEqual(truth);
    expect(await answers(survivor, repository)).toEqual(truth);
    await lab.redis.flush();
    expect(await answers(survivor, repository)).toEqual(truth);
    await survivor.tags.set(repository, tag, digestOfText('newer'), unending);
    expect(await survivor.tags.get(repository, tag, unending)).toBe(digestOfText('newer'));
  });
});
