import { registryError, type RegistryError } from '../../shared/oci/errors.ts';
import type { CachedRepository } from './cached-repository.ts';
import { describeAge } from './stale-warning.ts';
import type { Failure } from './upstream/outcome.ts';

/** When to come again after a failure that says nothing of it. */
const RETRY_SECONDS = 5;

/**
 * Throws what a client is told when nothing held can be served; returns for content that the upstream says is not there.
 * A denial stays one: every client then goes on to the upstream itself with a login of its own, and one without a login
 * is told so in words that it knows, where "not found" would be all that the newest docker shows.
 */
export function refuseUnlessAbsent(outcome: Failure, repository: CachedRepository): void {
  if (outcome.kind !== 'not-found') throw refusalOf(outcome, repository);
}

/** What a client is told of a tag that is held, and longer unconfirmed than its upstream's `maxStaleSeconds` allows. */
export function tooStale(
  outcome: Failure,
  { upstream, upstreamRepository: name }: CachedRepository,
  ageMs: number | undefined,
): RegistryError {
  const age = ageMs === undefined ? 'at a time not known' : `${describeAge(ageMs)} ago`;
  return registryError('UNAVAILABLE', {
    message:
      `${name} is cached here, but was last confirmed ${age}, which is longer than may be for ${upstream.project}` +
      (outcome.kind === 'unavailable' ? `: ${outcome.detail}` : ''),
    detail: { name },
    headers: { 'Retry-After': String(retrySeconds(outcome)) },
  });
}

const retrySeconds = (outcome: Failure): number =>
  ('retryAfterSeconds' in outcome ? outcome.retryAfterSeconds : undefined) ?? RETRY_SECONDS;

/** What a client is told of content that cannot be had. */
export function refusalOf(
  outcome: Exclude<Failure, { kind: 'not-found' }>,
  { upstream, upstreamRepository }: CachedRepository,
): RegistryError {
  const name = upstreamRepository;
  switch (outcome.kind) {
    case 'blocked':
      return outcome.error;
    case 'denied':
      return registryError('DENIED', {
        message: `pull access denied for ${name}, repository does not exist or may require 'docker login': ${upstream.url} shows it to nobody who is not logged in there, so this mirror does not serve it`,
        detail: { name },
      });
    case 'limited':
      return registryError('UNAVAILABLE', {
        message: `${name} is not cached here, and ${upstream.url} limits this mirror's requests at the moment`,
        detail: { name },
        headers: { 'Retry-After': String(outcome.retryAfterSeconds) },
      });
    case 'unavailable':
      return registryError('UNAVAILABLE', {
        message: `${name} is not cached here, and its upstream could not be asked: ${outcome.detail}`,
        detail: { name },
        headers: { 'Retry-After': String(retrySeconds(outcome)) },
      });
  }
}
