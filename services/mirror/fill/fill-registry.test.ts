import { expect, test } from '@jest/globals';

import { digestOf } from '../../../shared/oci/digest.ts';
import type { RepositoryName } from '../../../shared/oci/reference.ts';
import type { BlobFill } from './blob-fill.ts';
import { FillRegistry } from './fill-registry.ts';

const named = (name: string): RepositoryName => name as RepositoryName;

test('nobody joins a fill by a repository that was withdrawn while it ran', () => {
  const fills = new FillRegistry();
  const digest = digestOf(Buffer.from('content'));
  const ended = Promise.withResolvers<undefined>();
  const fill = { finished: ended.promise } as unknown as BlobFill;
  const repositories = new Map([
    ['as anybody', named('mirror/a')],
    ['proved', named('mirror/a')],
    ['elsewhere', named('mirror/b')],
  ]);
  fills.add(digest, { fill, reader: 'as anybody', repositories });
  fills.disown(named('mirror/a'));
  expect([...repositories.keys()]).toEqual(['elsewhere']);
  expect(fills.find(digest)?.repositories).toBe(repositories);
});
