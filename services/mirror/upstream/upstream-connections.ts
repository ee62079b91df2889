import type { ProxyConfig } from '../../../shared/config/config.ts';
import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import type { BlockList } from '../../../shared/content/blocks/block-list.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { SharedHints } from '../../../shared/index/ports.ts';
import type { Observer } from '../../../shared/observability/observer.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { ConnectionTurns, withConnections } from './connection-turns.ts';
import { ANONYMOUS, CredentialBudget, withBudget } from './credential-budget.ts';
import { type PoolMember, withCredentials } from './credential-pool.ts';
import { HttpExchange } from './http-exchange.ts';
import type { Outcome } from './outcome.ts';
import { type Quota, ttlStretch } from './quota.ts';
import type { Upstream } from './routed-upstream.ts';
import { TokenCache } from './token-cache.ts';
import type { Identity } from './authorized-exchange.ts';
import { createCredentialSources } from './credentials/create-credential-sources.ts';
import type { CredentialSource } from './credentials/credential-source.ts';
import { UpstreamClient } from './upstream-client.ts';
import type { ExchangeDeadlines } from './exchange-deadlines.ts';
import { UpstreamTransport } from './upstream-transport.ts';
import { RequestRate, withRate } from './request-rate.ts';
import { withBreaker } from './with-breaker.ts';
import { withoutBlocked } from './without-blocked.ts';

/** The two ways to ask an upstream. */
export interface UpstreamConnection {
  /** As anybody: what this one is given may be given to anybody. */
  readonly anonymous: Upstream;
  /** With a configured account, as anybody where none is of use. Undefined where none is configured. */
  readonly configured: Upstream | undefined;
  /** Shared by both: whether the upstream answers. */
  readonly breaker: Pick<CircuitBreaker, 'isOpen' | 'isProbeDue'>;
  /** By how much tags are to live longer, since the budget of pulls runs low; 1 or more. */
  ttlStretch(): number;
}

interface Connected {
  readonly upstream: UpstreamConfig;
  readonly connection: UpstreamConnection;
}

export interface UpstreamConnectionsOptions {
  readonly upstreams: readonly UpstreamConfig[];
  readonly clock: Clock;
  readonly observer: Observer;
  readonly hints: SharedHints;
  readonly blocks: Pick<BlockList, 'blockOf'>;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
  readonly proxies: ProxyConfig;
  readonly deadlines?: ExchangeDeadlines;
}

/** The upstreams, by project. Nothing is dialled before the first request. */
export class UpstreamConnections {
  readonly #exchanges: HttpExchange[] = [];
  readonly #connect: (upstream: UpstreamConfig) => UpstreamConnection;
  readonly #byProject = new Map<string, Connected>();
  readonly #credentials = new Map<string, readonly CredentialSource[]>();
  readonly #faults = new Map<string, string>();
  /** Names of refused accounts, by project. */
  readonly #refusedAccounts = new Map<string, Set<string>>();

  constructor(options: UpstreamConnectionsOptions) {
    const { upstreams, clock, observer, hints, lifetime, blocks } = options;
    const connect = (config: UpstreamConfig): UpstreamConnection => {
      const upstream = new URL(config.url.endsWith('/') ? config.url : `${config.url}/`);
      const exchange = new HttpExchange(
        observer,
        new UpstreamTransport({ ...options, upstream: config }),
      );
      this.#exchanges.push(exchange);
      const tokens = new TokenCache(clock);
      const onOutcome = (outcome: Outcome<unknown>): void => {
        if (outcome.kind === 'unavailable') this.#faults.set(config.project, outcome.detail);
        else this.#faults.delete(config.project);
      };
      const as = (identity: Identity, credential: string): PoolMember => {
        const { project } = config;
        const budget = new CredentialBudget({ project, credential, clock, hints, observer });
        const onQuota = (quota: Quota): void => budget.note(quota);
        const { authHosts } = config;
        const common = {
          exchange,
          upstream,
          authHosts,
          tokens,
          clock,
          lifetime,
          onOutcome,
          onQuota,
        };
        return { client: withBudget(new UpstreamClient({ ...common, identity }), budget), budget };
      };
      const anonymous = as({ kind: 'anonymous' }, ANONYMOUS);
      const sources = createCredentialSources(config, clock);
      this.#credentials.set(config.project, sources);
      const accounts = sources.map((credentials) =>
        as({ kind: 'configured', credentials }, credentials.name),
      );
      const breaker = new CircuitBreaker({
        clock,
        onChange: (isOpen) =>
          observer.level('breakerOpen', config.project, { set: isOpen ? 1 : 0 }),
      });
      // Shown from the start: an alert needs the value that it waits to change.
      observer.level('breakerOpen', config.project, { set: 0 });
      const onAccount = (credential: string, isRefused: boolean): void =>
        this.#noteAccount(config, credential, isRefused);
      const { requestsPerSecond, maxConnections } = config;
      const rate =
        requestsPerSecond === undefined ? undefined : new RequestRate(requestsPerSecond, clock);
      const turns =
        maxConnections === undefined ? undefined : new ConnectionTurns(maxConnections, clock);
      const guarded = (client: Upstream): Upstream => {
        const asked = withBreaker(client, breaker, { host: upstream.host, clock });
        // Outside the breaker: who waits for a turn of ours tells nothing of the upstream.
        const connected = turns ? withConnections(asked, turns) : asked;
        const rated = rate ? withRate(connected, rate, clock, lifetime) : connected;
        return withoutBlocked(rated, config.project, blocks);
      };
      const configured = withCredentials({ accounts, anonymous, onAccount });
      return {
        anonymous: guarded(anonymous.client),
        configured: accounts.length > 0 ? guarded(configured) : undefined,
        breaker,
        ttlStretch: () => ttlStretch(remainingShare(accounts.length > 0 ? accounts : [anonymous])),
      };
    };
    this.#connect = connect;
    for (const upstream of upstreams) this.to(upstream);
  }

  /** Entries of the table come and go while the mirror runs; one that has changed is connected to anew. */
  to(upstream: UpstreamConfig): UpstreamConnection {
    const known = this.#byProject.get(upstream.project);
    if (known && isSameConnection(known.upstream, upstream)) return known.connection;
    this.#refusedAccounts.delete(upstream.project);
    const connection = this.#connect(upstream);
    this.#byProject.set(upstream.project, { upstream, connection });
    return connection;
  }

  /** Accounts that bring what is private may each have their own repositories: there a denial tells nothing of the account. */
  #noteAccount(config: UpstreamConfig, credential: string, isRefused: boolean): void {
    const refused = this.#refusedAccounts.get(config.project) ?? new Set();
    if (!isRefused) refused.delete(credential);
    else if (config.private === 'refuse') refused.add(credential);
    this.#refusedAccounts.set(config.project, refused);
  }

  /** A sentence for each upstream whose last request found it unreachable, or that refused the configured account. */
  degraded(): readonly string[] {
    return [
      ...[...this.#faults].map(([project, detail]) => `upstream ${project}: ${detail}`),
      ...[...this.#refusedAccounts].flatMap(([project, credentials]) =>
        [...credentials].map(
          (credential) =>
            `upstream ${project}: the configured account is refused (${credential}); it is asked as anybody`,
        ),
      ),
      ...[...this.#credentials].flatMap(([project, sources]) =>
        sources.flatMap((source) => {
          const problem = source.problem();
          return problem === undefined ? [] : [`upstream ${project}: ${source.name}: ${problem}`];
        }),
      ),
    ];
  }

  async close(): Promise<void> {
    await Promise.all(this.#exchanges.map((exchange) => exchange.close()));
  }
}

/** An entry that gets an account, or loses it, is another connection: what is made once stays with its accounts. */
const isSameConnection = (a: UpstreamConfig, b: UpstreamConfig): boolean =>
  a.url === b.url && a.credentials === b.credentials;

/** Of the one that has most left; undefined: one of them is not limited, or not known to be. */
function remainingShare(members: readonly PoolMember[]): number | undefined {
  const shares = members.map(({ budget }) => budget.remainingShare);
  const known = shares.filter((share) => share !== undefined);
  return known.length < shares.length ? undefined : Math.max(...known);
}
