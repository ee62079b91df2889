import type { RepositoryName } from '../../../shared/oci/reference.ts';
import type { Outcome } from './outcome.ts';
import type { UpstreamClient } from './upstream-client.ts';

/** Everything that is asked of an upstream. */
export type Upstream = Pick<
  UpstreamClient,
  | 'headManifest'
  | 'getManifest'
  | 'headBlob'
  | 'openBlob'
  | 'tagList'
  | 'findRepository'
  | 'referrers'
>;

/** What a question is about, for those who pass it on. `isPull`: it counts against a budget of pulls (Docker Hub). */
interface QuestionKind {
  readonly repository: RepositoryName;
  readonly isPull: boolean;
}

/** Passes a question on to a client of its choice, to several, or to none. */
export type Route = <Value>(
  kind: QuestionKind,
  ask: (client: Upstream) => Promise<Outcome<Value>>,
) => Promise<Outcome<Value>>;

/** An upstream whose questions all go through one place. */
export function routedUpstream(route: Route): Upstream {
  const free = (repository: RepositoryName): QuestionKind => ({ repository, isPull: false });
  return {
    headManifest: (...asked) => route(free(asked[0]), (client) => client.headManifest(...asked)),
    getManifest: (...asked) =>
      route({ repository: asked[0], isPull: true }, (client) => client.getManifest(...asked)),
    headBlob: (...asked) => route(free(asked[0]), (client) => client.headBlob(...asked)),
    openBlob: (...asked) => route(free(asked[0]), (client) => client.openBlob(...asked)),
    tagList: (...asked) => route(free(asked[0]), (client) => client.tagList(...asked)),
    referrers: (...asked) => route(free(asked[0]), (client) => client.referrers(...asked)),
    findRepository: (...asked) =>
      route(free(asked[0]), (client) => client.findRepository(...asked)),
  };
}
