import { hash, randomUUID } from 'node:crypto';

import type { Principal } from '../../../shared/auth/access.ts';
import type { RepositoryName, UploadId } from '../../../shared/oci/reference.ts';

/** Whose an upload session is that somebody begins; undefined where nobody is anybody in particular. */
function ownerOf(principal: Principal): string | undefined {
  if (principal.kind === 'anonymous') return undefined;
  if (principal.identity) return principal.identity.id;
  // Of a token that another issuer has made.
  return principal.kind === 'bearer' ? `subject:${principal.subject}` : undefined;
}

/**
 * The id of a session that he begins. Half of it is random, half says whose it is, so that every replica can tell
 * without asking anybody; where nobody is anybody in particular all of it is random.
 */
export function newUploadId(repository: RepositoryName, principal: Principal): UploadId {
  const owner = ownerOf(principal);
  const id = randomUUID();
  if (owner === undefined) return id as UploadId;
  return idOf(randomPart(id), repository, owner);
}

/**
 * Whether a session may be gone on with by somebody who may push to its repository: it is his who began it. Where nobody
 * is anybody in particular it is everybody's.
 */
export function isUploadOf(
  id: UploadId,
  repository: RepositoryName,
  principal: Principal,
): boolean {
  const owner = ownerOf(principal);
  if (owner === undefined) return true;
  return id === idOf(randomPart(id), repository, owner);
}

/** 60 bits before and behind the version of a UUID. */
const randomPart = (id: string): string => id.slice(0, 13) + id.slice(15, 18);

/** `<random>-8<random>-a<mark>` (RFC 9562, 5.8). 60 bits of a hash: nobody makes the id of another one's session his own. */
function idOf(random: string, repository: RepositoryName, owner: string): UploadId {
  const mark = hash('sha256', JSON.stringify([random, repository, owner]));
  const [first, last] = [random.slice(0, 13), random.slice(13)];
  return `${first}-8${last}-a${mark.slice(0, 3)}-${mark.slice(3, 15)}` as UploadId;
}
