/** Names for tests of the index. */
import { randomUUID } from 'node:crypto';

import { type Digest, digestOf } from '../../oci/digest.ts';
import {
  parseRepositoryName,
  parseTag,
  type RepositoryName,
  type Tag,
} from '../../oci/reference.ts';

/** A repository that no other test uses. */
export const newRepository = (): RepositoryName =>
  parseRepositoryName(`contract/${randomUUID()}/app`)!;
export const tagOf = (text: string): Tag => parseTag(text)!;
export const digestOfText = (text: string): Digest => digestOf(Buffer.from(text));
