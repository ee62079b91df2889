import type { Outcome } from './outcome.ts';
import type { UpstreamClient } from './upstream-client.ts';

/** Everything that is asked of an upstream. */
export type Upstream = Pick<
  UpstreamClient,
  'headManifest' | 'getManifest' | 'headBlob' | 'openBlob' | 'tagList'
>;

/**
 * Asks with the account, and as nobody where the account is refused: used for public repositories alone, which an
 * account that expired must not make unreachable. `onAccount` is told whether the account is good.
 */
export function withFallback(
  account: Upstream,
  anonymous: Upstream,
  onAccount: (isRefused: boolean) => void,
): Upstream {
  const ask = async <Value>(
    question: (client: Upstream) => Promise<Outcome<Value>>,
  ): Promise<Outcome<Value>> => {
    const outcome = await question(account);
    if (outcome.kind === 'found') onAccount(false);
    if (outcome.kind !== 'denied') return outcome;
    onAccount(true);
    return question(anonymous);
  };
  return {
    headManifest: (...asked) => ask((client) => client.headManifest(...asked)),
    getManifest: (...asked) => ask((client) => client.getManifest(...asked)),
    headBlob: (...asked) => ask((client) => client.headBlob(...asked)),
    openBlob: (...asked) => ask((client) => client.openBlob(...asked)),
    tagList: (...asked) => ask((client) => client.tagList(...asked)),
  };
}
